//! The units in `packaging/systemd`, read by systemd.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The worst rating of a service, in tenths: systemd calls up to 2.0 little exposed.
const EXPOSURE_MAX: &str = "--threshold=15";

fn units() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let units = std::fs::read_dir(folder).expect("units");
    units.map(|unit| unit.expect("a unit").path()).collect()
}

fn analyze(arguments: &[&str], unit: &Path) -> Output {
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(arguments).arg(unit);
    analyze.output().expect("systemd-analyze runs")
}

/// The faults of a unit, but that the program is not installed here.
fn faults(unit: &Path) -> Vec<String> {
    let told = analyze(&["verify", "--man=no"], unit).stderr;
    let told = String::from_utf8_lossy(&told);
    let faults = told.lines().filter(|line| !line.contains("is not executable"));
    faults.map(ToOwned::to_owned).collect()
}

fn is_little_exposed(service: &Path) -> bool {
    analyze(&["security", "--offline=true", EXPOSURE_MAX], service)
        .status
        .success()
}

#[test]
fn systemd_takes_each_unit_and_calls_each_service_little_exposed_and_not_one_without_its_protection() {
    let (services, timers): (Vec<_>, Vec<_>) = units()
        .into_iter()
        .partition(|unit| unit.extension().is_some_and(|kind| kind == "service"));
    assert_eq!((services.len(), timers.len()), (3, 2), "{services:?} {timers:?}");
    for unit in services.iter().chain(&timers) {
        assert_eq!(faults(unit), [""; 0], "{unit:?}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    for service in services {
        assert!(is_little_exposed(&service), "{service:?}");
        let text = std::fs::read_to_string(&service).expect("a unit");
        let altered = folder.path().join(service.file_name().expect("a name"));
        let write = |text: String| std::fs::write(&altered, text).expect("it is written");
        write(text.replace("SystemCallFilter=", "#"));
        assert!(!is_little_exposed(&altered), "{altered:?}");
        write(text.replace("PrivateTmp=", "PrivateTemp="));
        assert!(!faults(&altered).is_empty(), "{altered:?}");
    }
}
