//! Where the renderer's binary is.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use plushie_pool_core::{Error, ErrorKind};

const VARIABLE: &str = "PLUSHIE_BINARY_PATH";
const NAME: &str = if cfg!(windows) {
    "plushie-renderer.exe"
} else {
    "plushie-renderer"
};

/// A search for the renderer's binary. Its inputs are fields, so that a test need not change
/// the environment or the directory of its process.
///
/// The first of these that names something decides:
///
/// 1. the [`explicit`](Self::explicit) path,
/// 2. `PLUSHIE_BINARY_PATH`,
/// 3. `target/plushie-renderer/target/{release,debug}/plushie-renderer`, where
///    `cargo plushie build` puts it,
/// 4. `bin/plushie-renderer`,
/// 5. `plushie-renderer` in `PATH`.
///
/// What 1 or 2 names must be there: somebody asked for it, so nothing else will do. 3 and 4
/// are looked for in the current directory and in each directory above it that holds a
/// `Cargo.toml`, because `cargo test` runs in the package's directory and the renderer is
/// built in the workspace's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discovery {
    /// The path the caller gave.
    pub explicit: Option<PathBuf>,
    /// The value of `PLUSHIE_BINARY_PATH`. An empty one counts as none.
    pub variable: Option<OsString>,
    /// The value of `PATH`.
    pub search_path: Option<OsString>,
    /// The current directory; relative paths start here. Without one, as when it was
    /// deleted, only absolute paths are of use.
    pub directory: Option<PathBuf>,
}

impl Discovery {
    /// A search with this process's environment and current directory.
    pub fn here() -> Self {
        Self {
            explicit: None,
            variable: std::env::var_os(VARIABLE),
            search_path: std::env::var_os("PATH"),
            directory: std::env::current_dir().ok(),
        }
    }

    /// Searches for this path and no other.
    #[must_use]
    pub fn explicit(mut self, path: impl Into<PathBuf>) -> Self {
        self.explicit = Some(path.into());
        self
    }

    /// The path of the renderer's binary; absolute if the current directory is known. Looks
    /// at a few files, and starts nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RendererNotFound`], with every place that was looked at.
    pub fn find(&self) -> Result<PathBuf, Error> {
        if let Some(path) = &self.explicit {
            return self.required(path, "");
        }
        if let Some(path) = self.variable.as_ref().filter(|value| !value.is_empty()) {
            return self.required(Path::new(path), &format!("{VARIABLE} is set, but "));
        }
        let built = self.built();
        let installed = self.installed();
        built
            .iter()
            .chain(&installed)
            .find(|path| is_program(path))
            .cloned()
            .ok_or_else(|| not_found(&built, &installed))
    }

    fn required(&self, path: &Path, context: &str) -> Result<PathBuf, Error> {
        let path = self.absolute(path);
        require_program(&path, context)?;
        Ok(path)
    }

    /// Where a project keeps a renderer of its own.
    fn built(&self) -> Vec<PathBuf> {
        let roots: Vec<&Path> = self
            .directory
            .iter()
            .flat_map(|directory| directory.ancestors())
            .enumerate()
            .filter(|(height, root)| *height == 0 || root.join("Cargo.toml").is_file())
            .map(|(_, root)| root)
            .collect();
        let target = Path::new("target").join("plushie-renderer").join("target");
        let release = target.join("release");
        let debug = target.join("debug");
        let from_cargo = roots
            .iter()
            .flat_map(|root| [root.join(&release), root.join(&debug)]);
        let from_bin = roots.iter().map(|root| root.join("bin"));
        from_cargo
            .chain(from_bin)
            .map(|folder| folder.join(NAME))
            .collect()
    }

    /// Where `PATH` leads.
    fn installed(&self) -> Vec<PathBuf> {
        let Some(search_path) = &self.search_path else {
            return Vec::new();
        };
        std::env::split_paths(search_path)
            .filter(|folder| !folder.as_os_str().is_empty())
            .map(|folder| self.absolute(&folder).join(NAME))
            .collect()
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        match &self.directory {
            Some(directory) => directory.join(path),
            None => path.to_owned(),
        }
    }
}

/// Fails unless a program is at `path`; `context` says, as the start of the message, why it
/// was looked for there.
pub(crate) fn require_program(path: &Path, context: &str) -> Result<(), Error> {
    let problem = match fs::metadata(path) {
        Err(error) => format!("there is no renderer at {} ({error})", path.display()),
        Ok(found) if !found.is_file() => format!("{} is not a file", path.display()),
        Ok(_) if !is_program(path) => format!("{} is not executable", path.display()),
        Ok(_) => return Ok(()),
    };
    Err(
        Error::new(ErrorKind::RendererNotFound, format!("{context}{problem}")).with_hint(format!(
            "name the binary of a plushie renderer, or name none and it is searched for \
             ({VARIABLE}, target/plushie-renderer, bin, PATH)"
        )),
    )
}

pub(crate) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && is_executable(&found))
}

#[cfg(unix)]
fn is_executable(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    found.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    true
}

fn not_found(built: &[PathBuf], installed: &[PathBuf]) -> Error {
    let mut message = format!("no plushie renderer found: {VARIABLE} is not set");
    for path in built {
        message += &format!(", {} {}", path.display(), why_not(path));
    }
    // The directories of PATH differ from each other in nothing but their names.
    let (missing, unusable): (Vec<_>, Vec<_>) = installed.iter().partition(|path| !path.exists());
    for path in unusable {
        message += &format!(", {} {}", path.display(), why_not(path));
    }
    if missing.is_empty() {
        message += ", PATH leads nowhere else";
    } else {
        let folders: Vec<_> = missing
            .iter()
            .filter_map(|path| path.parent())
            .map(|folder| folder.display().to_string())
            .collect();
        message += &format!(", PATH has no {NAME} ({})", folders.join(", "));
    }
    Error::new(ErrorKind::RendererNotFound, message).with_hint(format!(
        "install one with `cargo install plushie-renderer`, or set {VARIABLE} to the path of one"
    ))
}

fn why_not(path: &Path) -> &'static str {
    if path.is_file() {
        "is not executable"
    } else if path.exists() {
        "is not a file"
    } else {
        "does not exist"
    }
}
