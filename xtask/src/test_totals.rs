//! Adds up the results that test binaries print.

/// The counts of all test binaries together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TestTotals {
    pub(crate) passed: u64,
    failed: u64,
    ignored: u64,
    binaries: u64,
}

impl TestTotals {
    /// Counts a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; …`; other lines don't count.
    pub(crate) fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .trim()
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        self.binaries += 1;
        for part in counts.split("; ") {
            let Some((number, word)) = part.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for TestTotals {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            passed,
            failed,
            ignored,
            binaries,
        } = self;
        write!(
            formatter,
            "test result: ok. {passed} passed; {failed} failed; {ignored} ignored; in {binaries} test binaries"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_test_binaries_are_added_up() {
        let mut totals = TestTotals::default();
        totals.add("running 3 tests\n");
        totals.add(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.1s\n",
        );
        totals.add("test tests::test result: ok. 9 passed ... ok\n");
        totals.add("test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n");
        assert_eq!(
            totals,
            TestTotals {
                passed: 43,
                failed: 0,
                ignored: 1,
                binaries: 2
            }
        );
        let shown = "test result: ok. 43 passed; 0 failed; 1 ignored; in 2 test binaries";
        assert_eq!(totals.to_string(), shown);
    }
}
