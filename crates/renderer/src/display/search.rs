//! Which display there is, or can be had.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use plushie_pool_core::{Error, ErrorKind};

use super::Display;
use super::reach::{Protocol, listens, listens_abstract};
use super::server::Program;
use crate::discovery::is_program;

/// The variables that name a display to a renderer.
pub(super) const NAMES: [&str; 3] = ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY"];

/// Where windows are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Where the renderer's environment says.
    Theirs(Theirs),
    /// Nowhere.
    Nowhere,
    /// On a server of our own, started from this path.
    Own(Program, PathBuf),
}

/// A display that the pool did not start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Theirs {
    /// The variable that names it, and its value, for people.
    pub(super) named: String,
    /// Its Unix socket, if it has one in the file system, and what is spoken there.
    pub(super) socket: Option<(PathBuf, Protocol)>,
}

/// A display for windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) source: Source,
    /// What is taken in its place if it turns out to hang.
    pub(super) otherwise: Option<Source>,
}

/// Whether windows need nothing that is named in the environment or could be missing.
const NATIVE: bool = cfg!(any(windows, target_os = "macos"));

/// Finds a display as asked. `var` is the environment a renderer will have.
///
/// # Errors
///
/// [`ErrorKind::Display`] if there is none and none can be started, with what to install.
pub(super) fn choose(
    display: Display,
    var: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Choice, Error> {
    let own = |program: Program| {
        let path = in_path(program, var);
        let missing = || format!("{} is not in PATH", program.name());
        path.map(|path| Source::Own(program, path))
            .ok_or_else(missing)
    };
    let any_of_our_own = || own(Program::Weston).or_else(|_| own(Program::Xvfb));
    let mut otherwise = None;
    let found = match display {
        Display::None => Ok(Source::Nowhere),
        Display::Inherit => theirs(var),
        Display::Weston => own(Program::Weston),
        Display::Xvfb => own(Program::Xvfb),
        Display::Auto => match theirs(var) {
            Ok(found) => {
                otherwise = any_of_our_own().ok();
                Ok(found)
            }
            Err(absent) => any_of_our_own()
                .map_err(|_| format!("{absent}, and neither weston nor Xvfb is in PATH")),
        },
    };
    match found {
        Ok(source) => Ok(Choice { source, otherwise }),
        Err(missing) => {
            let message = format!("there is no display for the windows: {missing}");
            Err(Error::new(ErrorKind::Display, message).with_hint(packages(display)))
        }
    }
}

/// The display that is there, or why there is none. What is set may be left over from one that is
/// gone.
fn theirs(var: &dyn Fn(&str) -> Option<OsString>) -> Result<Source, String> {
    if NATIVE {
        return Ok(Source::Theirs(Theirs::default()));
    }
    let set = |name: &str| var(name).filter(|value| !value.is_empty());
    // A renderer tries the first that is set, and no other.
    let Some((name, value)) = NAMES
        .into_iter()
        .find_map(|name| set(name).map(|value| (name, value)))
    else {
        return Err("neither DISPLAY nor WAYLAND_DISPLAY is set".to_owned());
    };
    let named = format!("{name} is {}", value.display());
    let socket = match name {
        "WAYLAND_DISPLAY" => {
            let runtime = PathBuf::from(set("XDG_RUNTIME_DIR").unwrap_or_default());
            Some((runtime.join(&value), Protocol::Wayland))
        }
        "DISPLAY" => local_x(&value).map(|socket| (socket, Protocol::X)),
        _ => None,
    };
    let socket = match socket {
        Some((socket, protocol)) if listens(&socket) => Some((socket, protocol)),
        Some((socket, Protocol::X)) if listens_abstract(&socket) => None,
        Some(_) => {
            let absent = format!("{named}, where nobody answers");
            tracing::debug!("{absent}");
            return Err(absent);
        }
        None => None,
    };
    Ok(Source::Theirs(Theirs { named, socket }))
}

/// The socket of an X display on this machine.
pub(super) fn local_x(display: &OsStr) -> Option<PathBuf> {
    let number = display.to_str()?.strip_prefix(':')?;
    let number = number.split('.').next()?;
    Some(format!("/tmp/.X11-unix/X{number}").into())
}

fn in_path(program: Program, var: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = var("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program.name()))
        .find(|path| is_program(path))
}

/// What to install. A renderer loads the libraries of X at run time, and Xvfb brings few of
/// them; weston brings those of Wayland.
fn packages(display: Display) -> String {
    const WESTON: &str = "weston (Debian, Ubuntu: apt-get install weston; Fedora: dnf install \
        weston; Arch: pacman -S weston)";
    const XVFB: &str = "Xvfb (Debian, Ubuntu: apt-get install xvfb libx11-6 libx11-xcb1 \
        libxcursor1 libxi6 libxkbcommon-x11-0; Fedora: dnf install xorg-x11-server-Xvfb \
        libX11-xcb libXcursor libXi libxkbcommon-x11; Arch: pacman -S xorg-server-xvfb libx11 \
        libxcursor libxi libxkbcommon-x11)";
    const REST: &str = "on macOS and Windows there is always a display, the native one";
    match display {
        Display::Weston => format!("install {WESTON}; {REST}"),
        Display::Xvfb => format!("install {XVFB}; {REST}"),
        Display::Inherit => {
            format!("name one there, or have the pool start its own with Display::Auto; {REST}")
        }
        _ => format!("install {WESTON}, or {XVFB}; {REST}"),
    }
}

#[cfg(all(test, unix, not(target_os = "macos")))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A folder with these programs.
    fn folder(programs: &[Program]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folders can be made");
        for program in programs {
            let path = folder.path().join(program.name());
            fs::write(&path, "").expect("it can be written to");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        folder
    }

    fn chosen(
        display: Display,
        variables: &[(&str, &str)],
        programs: &[Program],
    ) -> Result<&'static str, Error> {
        let folder = folder(programs);
        let var = |name: &str| match name {
            "PATH" => Some(folder.path().into()),
            _ => {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            }
        };
        Ok(match choose(display, &var)?.source {
            Source::Theirs(_) => "theirs",
            Source::Nowhere => "nowhere",
            Source::Own(program, path) => {
                assert_eq!(path, folder.path().join(program.name()));
                program.name()
            }
        })
    }

    #[test]
    fn what_is_there_comes_before_weston_and_weston_before_xvfb() {
        use Program::{Weston, Xvfb};
        let both = [Xvfb, Weston];
        let runtime = tempfile::tempdir().expect("temporary folders can be made");
        let socket = runtime.path().join("wayland-7");
        let _listener = UnixListener::bind(&socket).expect("it is ours");
        let runtime = ("XDG_RUNTIME_DIR", runtime.path().to_str().expect("it is"));
        for named in [
            ("WAYLAND_DISPLAY", "wayland-7"),
            ("WAYLAND_DISPLAY", socket.to_str().expect("it is")),
            ("WAYLAND_SOCKET", "7"),
            // What is elsewhere is not asked.
            ("DISPLAY", "elsewhere:7"),
        ] {
            let chosen = chosen(Display::Auto, &[named, runtime], &both);
            assert_eq!(chosen.unwrap(), "theirs");
        }
        assert_eq!(chosen(Display::Auto, &[], &both).unwrap(), "weston");
        // Set to nothing is not set.
        let empty = [("DISPLAY", ""), ("WAYLAND_DISPLAY", "")];
        assert_eq!(chosen(Display::Auto, &empty, &[Xvfb]).unwrap(), "Xvfb");
    }

    #[test]
    fn what_is_asked_for_is_taken_whatever_is_there() {
        let both = [Program::Xvfb, Program::Weston];
        let there = [("DISPLAY", "elsewhere:0")];
        for (display, expected) in [
            (Display::Weston, "weston"),
            (Display::Xvfb, "Xvfb"),
            (Display::None, "nowhere"),
            (Display::Inherit, "theirs"),
        ] {
            assert_eq!(chosen(display, &there, &both).unwrap(), expected);
        }
    }

    #[test]
    fn a_display_that_is_gone_is_not_there() {
        for (name, value) in [("DISPLAY", ":9753.0"), ("WAYLAND_DISPLAY", "wayland-7")] {
            let left_over = [(name, value)];
            assert_eq!(
                chosen(Display::Auto, &left_over, &[Program::Xvfb]).unwrap(),
                "Xvfb"
            );
            for display in [Display::Auto, Display::Inherit] {
                let error = chosen(display, &left_over, &[]).unwrap_err();
                let says = format!("{name} is {value}, where nobody answers");
                assert!(error.to_string().contains(&says), "{error}");
            }
        }
    }

    #[test]
    fn a_display_that_cannot_be_had_is_an_error_that_names_packages() {
        for (display, words) in [
            (
                Display::Auto,
                &[
                    "DISPLAY",
                    "apt-get install weston",
                    "dnf",
                    "pacman",
                    "xvfb",
                    "macOS",
                ][..],
            ),
            (
                Display::Weston,
                &["weston is not in PATH", "dnf install weston"],
            ),
            (Display::Xvfb, &["Xvfb is not", "xorg-server-xvfb"]),
            (Display::Inherit, &["WAYLAND_DISPLAY", "Display::Auto"]),
        ] {
            let error = chosen(display, &[], &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Display);
            for word in words {
                assert!(error.to_string().contains(word), "{word}: {error}");
            }
        }
    }
}
