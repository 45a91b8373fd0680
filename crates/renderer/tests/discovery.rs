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

/// Where `cargo plushie download` puts a renderer for this machine.
fn downloaded(target: &str) -> String {
    let system = if cfg!(target_os = "macos") {
        "darwin"
    } else {
        "linux"
    };
    let arch = std::env::consts::ARCH;
    format!("{target}/plushie/bin/plushie-renderer-{system}-{arch}")
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
        &*downloaded("work/target"),
        "work/target/plushie-renderer/target/debug/other-renderer",
        "work/target/plushie-renderer/target/release/another-renderer",
        "work/target/plushie-renderer/target/debug/my-app-renderer",
        "work/target/plushie-renderer/target/release/my-app-renderer",
        "work/target/plushie-renderer/target/debug/plushie-renderer",
        "work/target/plushie-renderer/target/release/plushie-renderer",
        "work/crates/app/target/plushie-renderer/target/debug/plushie-renderer",
        "work/crates/app/target/plushie-renderer/target/release/plushie-renderer",
    ] {
        let program = tree.program(name);
        let mut discovery = tree.discovery();
        discovery.package = Some("my_app".to_owned());
        assert_eq!(discovery.find().unwrap(), program);
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
fn an_apps_own_renderer_is_found_whatever_the_app_is_called() {
    let tree = Tree::new();
    let folder = "work/target/plushie-renderer/target/release";
    // What cargo leaves beside it.
    tree.file(&format!("{folder}/dashboard-renderer.d"), 0o644);
    tree.program(&format!("{folder}/build-script-build"));
    tree.file(&format!("{folder}/stale-renderer"), 0o644);
    fs::create_dir_all(tree.path(folder).join("folder-renderer")).expect("the folder is ours");
    let program = tree.program(&format!("{folder}/dashboard-renderer"));
    assert_eq!(tree.discovery().find().unwrap(), program);
    // Whatever package asks.
    let mut discovery = tree.discovery();
    discovery.package = Some("tool".to_owned());
    assert_eq!(discovery.find().unwrap(), program);
}

#[test]
fn of_several_the_packages_own_is_taken_and_without_one_all_are_listed() {
    let tree = Tree::new();
    let folder = "work/target/plushie-renderer/target/debug";
    let programs = ["one-renderer", "two-renderer", "two_too-renderer"];
    let programs = programs.map(|name| tree.program(&format!("{folder}/{name}")));
    for (package, expected) in [("one", 0), ("two", 1), ("two_too", 2)] {
        let mut discovery = tree.discovery();
        discovery.package = Some(package.to_owned());
        assert_eq!(discovery.find().unwrap(), programs[expected]);
    }
    let text = refusal(&tree.discovery());
    for program in &programs {
        assert!(text.contains(program.to_str().unwrap()), "{text}");
    }
    assert!(text.contains("several"), "{text}");
    assert!(text.contains("set PLUSHIE_BINARY_PATH"), "{text}");
}

#[test]
fn the_target_directory_may_be_elsewhere() {
    let build = "plushie-renderer/target/release/dashboard-renderer";
    let elsewhere = Tree::new();
    let absolute = elsewhere.path("built");
    for (named, target) in [
        (absolute.clone().into_os_string(), absolute),
        // Of the workspace, as cargo has it that is called there.
        ("out/target".into(), "work/out/target".into()),
        // Of the package.
        ("own".into(), "work/crates/app/own".into()),
        // Not set: the default.
        ("".into(), "work/target".into()),
    ] {
        for name in [build.to_owned(), downloaded(".")] {
            let tree = Tree::new();
            let stale = tree.program("path/plushie-renderer");
            let mut discovery = tree.discovery();
            discovery.target_directory = Some(named.clone());
            assert_eq!(discovery.find().unwrap(), stale);
            let target = tree.path(target.to_str().unwrap());
            let program = tree.program(target.join(&name).to_str().unwrap());
            assert_eq!(discovery.find().unwrap(), program, "{named:?}");
            fs::remove_file(program).expect("it is ours");
        }
    }
    // It comes before the default, which may be older.
    let tree = Tree::new();
    tree.program("work/target/plushie-renderer/target/release/plushie-renderer");
    let mut discovery = tree.discovery();
    discovery.target_directory = Some(tree.path("built").into());
    assert!(discovery.find().is_ok());
    let program = tree.program("built/plushie-renderer/target/debug/dashboard-renderer");
    assert_eq!(discovery.find().unwrap(), program);
    // And a failure names it.
    let tree = Tree::new();
    let mut discovery = tree.discovery();
    discovery.target_directory = Some("out".into());
    let text = refusal(&discovery);
    let place = tree.path("work/out/plushie-renderer/target/release/plushie-renderer");
    assert!(text.contains(place.to_str().unwrap()), "{text}");
}

#[test]
fn a_test_that_has_left_the_packages_directory_finds_it_all_the_same() {
    let tree = Tree::new();
    let program = tree.program("work/target/plushie-renderer/target/debug/dashboard-renderer");
    let mut discovery = tree.discovery();
    discovery.directory = Some(tree.path("empty"));
    assert!(discovery.find().is_err());
    discovery.package_directory = Some(tree.path("work/crates/app"));
    assert_eq!(discovery.find().unwrap(), program);
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
        let path = tree.path(&downloaded(&format!("{root}/target")));
        assert!(text.contains(path.to_str().unwrap()), "{path:?} in {text}");
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
