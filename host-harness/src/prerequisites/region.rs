//! The regions in which the platform runs.

use std::str::FromStr;

use bss_model::{Diagnose, Diagnosis, ErrorKind};

/// The region in which the platform runs for a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The European Union.
    Eu,
    /// The United States.
    Us,
}

/// There is no such region.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a region of the platform")]
pub struct UnknownRegion(String);

impl Diagnose for UnknownRegion {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "unknown-region").say("choose `eu` or `us`")
    }
}

impl Region {
    /// All regions.
    pub const ALL: [Self; 2] = [Self::Eu, Self::Us];

    /// The region's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eu => "eu",
            Self::Us => "us",
        }
    }

    /// The host to which hostnames of the region's customers have to lead (the platform's page on activating the
    /// integration).
    pub fn target(self) -> &'static str {
        match self {
            Self::Eu => "cloud-platform-sites-eu.trafficmanager.net",
            Self::Us => "cloud-platform-sites-us.trafficmanager.net",
        }
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(name: &str) -> Result<Self, UnknownRegion> {
        Self::ALL
            .into_iter()
            .find(|region| region.name() == name)
            .ok_or_else(|| UnknownRegion(name.escape_debug().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_the_hosts_of_the_page() {
        let target = |name: &str| name.parse().map(Region::target);
        assert_eq!(target("eu"), Ok("cloud-platform-sites-eu.trafficmanager.net"));
        assert_eq!(target("us"), Ok("cloud-platform-sites-us.trafficmanager.net"));
        assert_eq!(target("EU"), Err(UnknownRegion("EU".to_owned())));
    }
}
