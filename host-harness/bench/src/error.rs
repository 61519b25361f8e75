//! The error of a benchmark that could not be set up, or got no answer.

/// A benchmark that could not be set up, or got no answer.
#[derive(Debug, thiserror::Error)]
#[error("the benchmark failed: {doing}")]
pub struct BenchError {
    /// The step that failed.
    doing: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl BenchError {
    /// The error of an answer that nothing can be learned from.
    pub fn unusable(answer: impl Into<String>) -> Self {
        Self {
            doing: "the result of a call can't be used",
            source: answer.into().into(),
        }
    }

    /// Makes an error for `map_err` that says what was being done.
    pub(crate) fn when<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        doing: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self {
            doing,
            source: source.into(),
        }
    }
}
