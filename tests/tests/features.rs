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
