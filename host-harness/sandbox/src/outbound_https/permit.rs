//! What is asked right before a request leaves: whether whoever sends it still may.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// The answer to the question, which comes. An error says why nothing may be sent.
pub type SendAnswer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A question that is asked before each request leaves, whose answer may be that it must not. Cloning shares it.
#[derive(Clone)]
pub struct SendPermit(Arc<dyn Fn() -> SendAnswer + Send + Sync>);

impl SendPermit {
    /// A permit that asks so.
    pub fn new(ask: impl Fn() -> SendAnswer + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(super) async fn ask(&self) -> Result<(), String> {
        (self.0)().await
    }
}

impl fmt::Debug for SendPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendPermit").finish_non_exhaustive()
    }
}
