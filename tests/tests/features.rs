//! What each choice of features compiles in, and what it must not.

#![allow(clippy::unwrap_used, reason = "to fail is how a test says it")]

use std::process::Command;

/// The names of all crates below `package` with these features, itself included.
fn below(package: &str, features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--package", package])
        .args(features)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let names: Vec<_> = names.map(str::to_owned).collect();
    assert!(names.iter().any(|name| name == package), "{tree}");
    names
}

#[track_caller]
fn assert_none_of(unwanted: &[&str], names: &[String]) {
    let found = names.iter().find(|name| unwanted.contains(&name.as_str()));
    assert_eq!(found, None);
}

#[track_caller]
fn assert_all_of(wanted: &[&str], names: &[String]) {
    for name in wanted {
        assert!(names.iter().any(|found| found == name), "no {name}");
    }
}

const NONE: &str = "--no-default-features";

#[test]
fn the_core_and_the_formats_know_no_runtime() {
    for package in [
        "plushie-pool-core",
        "plushie-pool-transport-json",
        "plushie-pool-transport-msgpack",
    ] {
        assert_none_of(&["tokio", "mio", "async-std", "smol"], &below(package, &[]));
    }
}

#[test]
fn a_format_brings_its_own_library_only() {
    let json = below("plushie-pool", &[NONE, "--features", "multiplexed,json"]);
    assert_none_of(
        &["rmp", "rmp-serde", "plushie-pool-transport-msgpack"],
        &json,
    );
    assert_all_of(&["serde_json", "plushie-pool-transport-json"], &json);

    let msgpack = below("plushie-pool", &[NONE, "--features", "multiplexed,msgpack"]);
    assert_none_of(&["serde_json", "plushie-pool-transport-json"], &msgpack);
    assert_all_of(&["rmp-serde", "plushie-pool-transport-msgpack"], &msgpack);
}

#[test]
fn a_mode_brings_its_own_crate_only() {
    let [multiplexed, windowed] = [
        "plushie-pool-mode-multiplexed",
        "plushie-pool-mode-windowed",
    ];
    let names = below("plushie-pool", &[NONE, "--features", "multiplexed"]);
    assert_none_of(&[windowed], &names);
    assert_all_of(&[multiplexed], &names);
    let names = below("plushie-pool", &[NONE, "--features", "windowed"]);
    assert_none_of(&[multiplexed], &names);
    assert_all_of(&[windowed], &names);
    let names = below("plushie-pool", &[NONE]);
    assert_none_of(&[multiplexed, windowed, "rmp-serde", "serde_json"], &names);
}

#[test]
fn the_pool_comes_without_a_renderer() {
    let names = below("plushie-pool", &["--all-features"]);
    let gui = [
        "plushie-renderer",
        "plushie-widget-sdk",
        "plushie-iced",
        "wgpu",
        "winit",
    ];
    assert_none_of(&gui, &names);
}

#[test]
fn no_light_crate_is_built_with_two_versions_of_another() {
    // Not plushie-pool-app: what the SDK brings is the SDK's choice.
    for package in [
        "plushie-pool",
        "plushie-pool-core",
        "plushie-pool-renderer",
        "plushie-pool-server",
    ] {
        assert_none_of(
            &["tracing-attributes"],
            &below(package, &["--all-features"]),
        );
        let found = versions_below(package);
        for ((name, one), (next, other)) in found.iter().zip(found.iter().skip(1)) {
            assert!(name != next, "{package} builds {name} {one} and {other}");
        }
    }
}

/// The names and versions of all crates below `package`, each pair once.
fn versions_below(package: &str) -> std::collections::BTreeSet<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}", "--all-features"])
        .args(["--package", package])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let lines = tree.lines().map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap_or_default())
    });
    lines.collect()
}

#[test]
fn each_published_crate_carries_both_licences() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = std::fs::read_dir(root.join("crates")).unwrap();
    let crates: Vec<_> = crates.map(|entry| entry.unwrap().path()).collect();
    assert!(crates.len() > 5, "{crates:?}");
    for directory in crates {
        let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).unwrap();
        if manifest.contains("publish = false") {
            continue;
        }
        for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let text = std::fs::read(directory.join(licence));
            let text = text.unwrap_or_else(|error| panic!("{directory:?}: {licence}: {error}"));
            assert_eq!(text, std::fs::read(root.join(licence)).unwrap());
        }
    }
}
