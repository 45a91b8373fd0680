//! Where a renderer is looked for, and what is said when there is none.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use plushie_pool_core::{ErrorKind, Origin};
use plushie_pool_renderer::Discovery;
use tempfile::TempDir;

/// A package in a workspace, and a `PATH` of two folders.
struct Tree {
    root: TempDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self {
            root: TempDir::new().expect("temporary folders can be made"),
        };
        tree.file("work/Cargo.toml", 0o644);
        tree.file("work/crates/app/Cargo.toml", 0o644);
        fs::create_dir_all(tree.path("empty")).expect("the folder is ours");
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in the folder"))
            .expect("the folder is ours");
        fs::write(&path, "").expect("the folder is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
        path
    }

    fn program(&self, name: &str) -> PathBuf {
        self.file(name, 0o755)
    }

    fn discovery(&self) -> Discovery {
        let mut discovery = Discovery::default();
        discovery.directory = Some(self.path("work/crates/app"));
        discovery.search_path =
            Some(std::env::join_paths([self.path("empty"), self.path("path")]).expect("no colons"));
        discovery
    }
}

fn refusal(discovery: &Discovery) -> String {
    let error = discovery.find().expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::RendererNotFound);
    assert_eq!(error.origin(), Origin::Caller);
    error.to_string()
}

#[test]
fn the_nearest_wins() {
    let tree = Tree::new();
    // From the last resort to the first choice; each overrules those before it.
    for name in [
        "path/plushie-renderer",
        "work/bin/plushie-renderer",
        "work/crates/app/bin/plushie-renderer",
        "work/target/plushie-renderer/target/debug/plushie-renderer",
        "work/target/plushie-renderer/target/release/plushie-renderer",
        "work/crates/app/target/plushie-renderer/target/debug/plushie-renderer",
        "work/crates/app/target/plushie-renderer/target/release/plushie-renderer",
    ] {
        let program = tree.program(name);
        assert_eq!(tree.discovery().find().unwrap(), program);
    }
    let named = tree.program("named");
    let mut discovery = tree.discovery();
    discovery.variable = Some(named.clone().into());
    assert_eq!(discovery.find().unwrap(), named);

    let explicit = tree.program("explicit");
    assert_eq!(discovery.explicit(&explicit).find().unwrap(), explicit);
}

#[test]
fn a_directory_above_counts_only_as_a_package() {
    let tree = Tree::new();
    tree.program("work/crates/bin/plushie-renderer");
    tree.program("bin/plushie-renderer");
    assert!(tree.discovery().find().is_err());

    tree.file("work/crates/Cargo.toml", 0o644);
    assert!(tree.discovery().find().is_ok());
}

#[test]
fn what_was_asked_for_is_never_replaced_by_another() {
    let tree = Tree::new();
    tree.program("path/plushie-renderer");
    let plain = tree.file("plain", 0o644);
    let missing = tree.path("missing");

    for (path, problem) in [
        (missing.as_path(), "there is no renderer at"),
        (plain.as_path(), "is not executable"),
        (tree.root.path(), "is not a file"),
    ] {
        let shown = path.to_str().unwrap();
        let text = refusal(&tree.discovery().explicit(path));
        assert!(text.contains(problem) && text.contains(shown), "{text}");

        let mut discovery = tree.discovery();
        discovery.variable = Some(path.into());
        let text = refusal(&discovery);
        assert!(text.contains(problem) && text.contains(shown), "{text}");
        assert!(text.starts_with("PLUSHIE_BINARY_PATH is set"), "{text}");
    }
}

#[test]
fn an_empty_variable_is_none() {
    let tree = Tree::new();
    let program = tree.program("path/plushie-renderer");
    let mut discovery = tree.discovery();
    discovery.variable = Some("".into());
    assert_eq!(discovery.find().unwrap(), program);
}

#[test]
fn relative_paths_start_at_the_directory() {
    let tree = Tree::new();
    let program = tree.program("work/crates/app/mine/renderer");
    let discovery = tree.discovery().explicit("mine/renderer");
    assert_eq!(discovery.find().unwrap(), program);
}

#[test]
fn what_is_not_executable_is_passed_over_and_mentioned() {
    let tree = Tree::new();
    let plain = tree.file("work/bin/plushie-renderer", 0o644);
    let text = refusal(&tree.discovery());
    assert!(
        text.contains(&format!("{} is not executable", plain.display())),
        "{text}"
    );

    let program = tree.program("path/plushie-renderer");
    assert_eq!(tree.discovery().find().unwrap(), program);
}

#[test]
fn a_failure_names_every_place_and_a_remedy() {
    let tree = Tree::new();
    let text = refusal(&tree.discovery());
    for root in ["work/crates/app", "work"] {
        for place in [
            "target/plushie-renderer/target/release",
            "target/plushie-renderer/target/debug",
            "bin",
        ] {
            let path = tree.path(root).join(place).join("plushie-renderer");
            assert!(text.contains(path.to_str().unwrap()), "{path:?} in {text}");
        }
    }
    for place in ["empty", "path"] {
        let path = tree.path(place);
        assert!(text.contains(path.to_str().unwrap()), "{path:?} in {text}");
    }
    assert!(text.contains("PLUSHIE_BINARY_PATH is not set"), "{text}");
    assert!(text.contains("cargo install plushie-renderer"), "{text}");
}

#[test]
fn nothing_to_go_by_is_an_error_like_any_other() {
    let text = refusal(&Discovery::default());
    assert!(text.contains("cargo install plushie-renderer"), "{text}");
    let mut discovery = Discovery::default();
    discovery.directory = Some(Path::new("/").into());
    discovery.search_path = Some("".into());
    refusal(&discovery);
}
