//! What a renderer gets to see of its host's environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// The variables a renderer may inherit: those the plushie SDKs agree on, and `XAUTHORITY`,
/// without which it may not open many an X display.
const NAMES: [&str; 28] = [
    "DISPLAY",
    "XAUTHORITY",
    "WAYLAND_DISPLAY",
    "WAYLAND_SOCKET",
    "WINIT_UNIX_BACKEND",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_DIRS",
    "XDG_DATA_HOME",
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "LANG",
    "LANGUAGE",
    "DBUS_SESSION_BUS_ADDRESS",
    "GTK_MODULES",
    "NO_AT_BRIDGE",
    "WGPU_BACKEND",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "HOME",
    "USER",
    "SystemRoot",
    "WINDIR",
    "PATHEXT",
    "TEMP",
    "TMP",
    "PLUSHIE_NO_CATCH_UNWIND",
];

/// The variables a renderer may inherit whose names start like this.
const PREFIXES: [&str; 8] = [
    "LC_",
    "MESA_",
    "LIBGL_",
    "__GLX_",
    "VK_",
    "GALLIUM_",
    "AT_SPI_",
    "FONTCONFIG_",
];

/// The variables that lead a renderer to a user's desktop: its displays, and the buses on which
/// notifications, file dialogs and screen readers listen.
const DESKTOP: [&str; 6] = [
    "DISPLAY",
    "XAUTHORITY",
    "WAYLAND_DISPLAY",
    "WAYLAND_SOCKET",
    "DBUS_SESSION_BUS_ADDRESS",
    "AT_SPI_BUS_ADDRESS",
];

/// A runtime directory in which nothing can be. D-Bus looks for the session's bus in the runtime
/// directory if no variable names it, and in `/run/user/UID` if that is not set either: only a
/// directory without a bus keeps it from finding one.
const NO_RUNTIME_DIRECTORY: &str = "/dev/null";

/// The environment a renderer is started with: the allowed part of its host's, and what the
/// caller added. A CI job's secrets are in neither.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The allowed part of this process's environment, as it is now.
    pub fn inherited() -> Self {
        Self::allowed(std::env::vars_os())
    }

    /// The allowed part of these variables.
    pub fn allowed(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(
            variables
                .into_iter()
                .filter(|(name, _)| is_allowed(name))
                .collect(),
        )
    }

    /// Takes out what leads to the desktop of the user who runs this program, so that clipboard,
    /// notification and dialog effects answer as on a machine without one: the variables that
    /// name displays and buses, and the runtime directory in which they are looked for by default.
    ///
    /// Nothing in the environment leads to the desktops of macOS and Windows, so that effects
    /// still reach those.
    pub fn hide_desktop(&mut self) {
        for name in DESKTOP {
            self.remove(name);
        }
        if cfg!(all(unix, not(target_os = "macos"))) {
            self.set("XDG_RUNTIME_DIR", NO_RUNTIME_DIRECTORY);
        }
    }

    /// Adds a variable, allowed or not, in place of an inherited one of that name.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }

    /// Takes a variable out.
    pub fn remove(&mut self, name: impl AsRef<OsStr>) {
        self.0.remove(name.as_ref());
    }

    /// The variables, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

/// Shows the names only: a value that was added may be a secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")?;
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn is_allowed(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    NAMES
        .iter()
        .any(|allowed| same_name(name, allowed.as_bytes()))
        || PREFIXES.iter().any(|prefix| {
            name.get(..prefix.len())
                .is_some_and(|start| same_name(start, prefix.as_bytes()))
        })
}

fn same_name(one: &[u8], other: &[u8]) -> bool {
    if cfg!(windows) {
        one.eq_ignore_ascii_case(other)
    } else {
        one == other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_allowed(names: &[&str]) -> Vec<String> {
        let variables = names.iter().map(|name| (name.into(), "x".into()));
        Environment::allowed(variables)
            .iter()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn only_listed_names_and_prefixes_pass() {
        assert_eq!(
            names_allowed(&[
                "PATH",
                "LC_ALL",
                "VK_ICD_FILENAMES",
                "AWS_SECRET_ACCESS_KEY",
                "CARGO_REGISTRY_TOKEN",
                "PLUSHIE_TOKEN",
                "LD_PRELOAD",
                "PATHS",
                "MY_PATH",
                "XLC_ALL",
                "LC",
                "",
            ]),
            ["LC_ALL", "PATH", "VK_ICD_FILENAMES"]
        );
    }

    #[test]
    fn every_listed_name_passes() {
        assert_eq!(names_allowed(&NAMES).len(), NAMES.len());
    }

    #[cfg(unix)]
    #[test]
    fn text_that_is_not_unicode_is_carried_or_withheld_but_never_a_panic() {
        use std::os::unix::ffi::OsStringExt;
        let broken = || OsString::from_vec(vec![b'/', 0xff]);
        let environment =
            Environment::allowed([("HOME".into(), broken()), (broken(), "value".into())]);
        assert_eq!(
            environment.iter().collect::<Vec<_>>(),
            [(OsStr::new("HOME"), broken().as_os_str())]
        );
    }

    #[test]
    fn an_addition_wins_over_the_host_and_needs_no_permission() {
        let mut environment = Environment::allowed([("RUST_LOG".into(), "trace".into())]);
        environment.set("RUST_LOG", "error");
        environment.set("MINE", "1");
        let shown: Vec<_> = environment.iter().collect();
        assert_eq!(
            shown,
            [
                (OsStr::new("MINE"), OsStr::new("1")),
                (OsStr::new("RUST_LOG"), OsStr::new("error")),
            ]
        );
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn a_hidden_desktop_is_neither_named_nor_found_by_default() {
        let variables = NAMES.iter().map(|name| ((*name).into(), "x".into()));
        let mut environment = Environment::allowed(variables);
        environment.set("AT_SPI_BUS_ADDRESS", "x");
        environment.hide_desktop();
        for name in DESKTOP {
            assert!(environment.iter().all(|(left, _)| left != name), "{name}");
        }
        let mut directories = environment
            .iter()
            .filter(|(name, _)| *name == "XDG_RUNTIME_DIR");
        let (_, directory) = directories.next().unwrap();
        assert!(!std::path::Path::new(directory).is_dir());
        // Everything else is still there.
        assert!(environment.iter().any(|(name, _)| name == "PATH"));
    }

    #[test]
    fn debug_output_shows_no_values() {
        let mut environment = Environment::default();
        environment.set("NAME", "hunter2");
        assert_eq!(format!("{environment:?}"), r#"Environment{"NAME"}"#);
    }
}
