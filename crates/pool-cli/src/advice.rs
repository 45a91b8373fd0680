//! How to get what is missing.

use std::env;
use std::ffi::OsStr;

pub(crate) fn for_no_renderer() -> String {
    "to have one: cargo install plushie-renderer --version 0.7.1, or set PLUSHIE_BINARY_PATH"
        .to_owned()
}

/// How a window gets a display; with `is_named`, one that the environment names.
pub(crate) fn for_no_display(is_named: bool, search_path: Option<&OsStr>) -> String {
    let has = |program: &str| {
        let directories = search_path.map(env::split_paths);
        directories
            .into_iter()
            .flatten()
            .any(|directory| directory.join(program).is_file())
    };
    let mut lines = Vec::new();
    if is_named {
        lines.push("DISPLAY or WAYLAND_DISPLAY is set, but nothing can be shown there");
    }
    match (has("weston"), has("Xvfb")) {
        (true, _) => lines.push(WESTON),
        (false, true) => lines.push(XVFB),
        (false, false) => {
            lines.push("to have a display without a screen (Debian, Ubuntu):");
            lines.push("  apt-get install weston libwayland-client0");
            lines.push(WESTON);
        }
    }
    lines.push("what a window needs of X11 (Debian, Ubuntu):");
    lines.push("  apt-get install libx11-6 libx11-xcb1 libxcursor1 libxi6 libxkbcommon-x11-0");
    lines.push("without windows: plushie-pool doctor --mode mock --mode headless");
    lines.join("\n")
}

const WESTON: &str = "\
to start one:
  export XDG_RUNTIME_DIR=$(mktemp -d) WAYLAND_DISPLAY=pool
  weston --backend=headless-backend.so --socket=pool --idle-time=0 &";

const XVFB: &str = "\
to start one:
  Xvfb :99 -screen 0 1280x1024x24 -nolisten tcp &
  export DISPLAY=:99";

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)] // a check that cannot be made has failed

    use super::*;

    #[test]
    fn what_is_installed_is_to_be_started_and_what_is_not_to_be_installed() {
        let directory = tempfile::tempdir().unwrap();
        let path = Some(directory.path().as_os_str());
        let advice = for_no_display(false, path);
        assert!(advice.contains("apt-get install weston"), "{advice}");
        assert!(!advice.contains("is set"), "{advice}");

        std::fs::write(directory.path().join("Xvfb"), "").unwrap();
        let advice = for_no_display(true, path);
        assert!(!advice.contains("install weston"), "{advice}");
        assert!(advice.contains("Xvfb :99"), "{advice}");
        assert!(advice.contains("is set"), "{advice}");

        std::fs::write(directory.path().join("weston"), "").unwrap();
        let advice = for_no_display(false, path);
        assert!(advice.contains("weston --backend"), "{advice}");
        assert!(!advice.contains("Xvfb"), "{advice}");
    }
}
