//! Where the renderer's binary is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, iter};

use plushie_pool_core::{Error, ErrorKind};

const VARIABLE: &str = "PLUSHIE_BINARY_PATH";
const NAME: &str = if cfg!(windows) {
    "plushie-renderer.exe"
} else {
    "plushie-renderer"
};

/// What the name of an app's own renderer ends with, behind that of the app.
const OWN: &str = if cfg!(windows) {
    "-renderer.exe"
} else {
    "-renderer"
};

/// A search for the renderer's binary. Its inputs are fields, so that a test need not change
/// the environment or the directory of its process.
///
/// The first of these that names something decides:
///
/// 1. the [`explicit`](Self::explicit) path,
/// 2. `PLUSHIE_BINARY_PATH`,
/// 3. in each target directory, the nearest first, what `cargo plushie build` leaves in
///    `plushie-renderer/target/{release,debug}/`: `plushie-renderer`, or else
///    `<package>-renderer` of the package that `cargo test` runs, or else the only `*-renderer`
///    there; release before debug for each of these names;
/// 4. in the same target directory, what `cargo plushie download` leaves:
///    `plushie/bin/plushie-renderer-<os>-<arch>`,
/// 5. `bin/plushie-renderer`,
/// 6. `plushie-renderer` in `PATH`.
///
/// What 1 or 2 names must be there: the caller asked for it, so nothing else will do. Several
/// renderers of other names in one folder of 3 are an error that lists them.
///
/// 3 to 5 are looked for in the current directory, in each directory above it that holds a
/// `Cargo.toml`, because `cargo test` runs in the package's directory and the renderer is built
/// in the workspace's, and then likewise from the package's directory, which a test may have
/// left. The target directory is `CARGO_TARGET_DIR`, relative to any of these, and then
/// `target`.
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
    /// The value of `CARGO_TARGET_DIR`, or else of `CARGO_BUILD_TARGET_DIR`. An empty one counts
    /// as none.
    pub target_directory: Option<OsString>,
    /// The directory of the package that cargo runs: the value of `CARGO_MANIFEST_DIR`.
    pub package_directory: Option<PathBuf>,
    /// The name of the package that cargo runs: the value of `CARGO_PKG_NAME`.
    pub package: Option<String>,
}

impl Discovery {
    /// A search with this process's environment and current directory.
    pub fn here() -> Self {
        let var = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            explicit: None,
            variable: env::var_os(VARIABLE),
            search_path: env::var_os("PATH"),
            directory: env::current_dir().ok(),
            target_directory: var("CARGO_TARGET_DIR").or_else(|| var("CARGO_BUILD_TARGET_DIR")),
            package_directory: var("CARGO_MANIFEST_DIR").map(PathBuf::from),
            package: var("CARGO_PKG_NAME").and_then(|name| name.into_string().ok()),
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
    /// [`ErrorKind::RendererNotFound`], with every place that was looked at, or with the
    /// renderers among which none is the obvious one.
    pub fn find(&self) -> Result<PathBuf, Error> {
        if let Some(path) = &self.explicit {
            return self.required(path, "");
        }
        if let Some(path) = self.variable.as_ref().filter(|value| !value.is_empty()) {
            return self.required(Path::new(path), &format!("{VARIABLE} is set, but "));
        }
        let roots = self.roots();
        let targets = self.targets(&roots);
        for target in &targets {
            if let Some(found) = self.built(target)? {
                return Ok(found);
            }
        }
        let in_bin = roots.iter().map(|root| root.join("bin").join(NAME));
        let in_bin: Vec<_> = in_bin.collect();
        let installed = self.installed();
        let found = in_bin
            .iter()
            .chain(&installed)
            .find(|path| is_program(path));
        found.cloned().ok_or_else(|| {
            let built = targets.iter().flat_map(|target| usual(target));
            let looked_at: Vec<_> = built.chain(in_bin.iter().cloned()).collect();
            not_found(&looked_at, &installed)
        })
    }

    fn required(&self, path: &Path, context: &str) -> Result<PathBuf, Error> {
        let path = self.absolute(path);
        require_program(&path, context)?;
        Ok(path)
    }

    /// The directories of the project, from the inside out.
    fn roots(&self) -> Vec<&Path> {
        let starts = [&self.directory, &self.package_directory];
        let mut roots = Vec::new();
        for start in starts.into_iter().flatten() {
            let above = start.ancestors().enumerate();
            let packages =
                above.filter(|(height, root)| *height == 0 || root.join("Cargo.toml").is_file());
            for (_, root) in packages {
                if !roots.contains(&root) {
                    roots.push(root);
                }
            }
        }
        roots
    }

    /// The target directories that cargo may use there.
    fn targets(&self, roots: &[&Path]) -> Vec<PathBuf> {
        let named = self.target_directory.as_ref();
        let named = named.filter(|value| !value.is_empty()).map(Path::new);
        let mut targets = Vec::new();
        for folder in named.into_iter().chain([Path::new("target")]) {
            // An absolute one is itself in any of them.
            let absolute = folder.is_absolute().then(|| folder.to_owned());
            let joined = roots.iter().map(|root| root.join(folder));
            for target in absolute.into_iter().chain(joined) {
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        targets
    }

    /// What `cargo plushie` has left in a target directory.
    fn built(&self, target: &Path) -> Result<Option<PathBuf>, Error> {
        let folders = builds(target);
        let own = self.package.iter().flat_map(|package| {
            let hyphens = package.replace('_', "-");
            [program_name(package), program_name(&hyphens)]
        });
        for name in iter::once(NAME.to_owned()).chain(own) {
            let named = folders.iter().map(|folder| folder.join(&name));
            if let Some(found) = named.into_iter().find(|path| is_program(path)) {
                return Ok(Some(found));
            }
        }
        for folder in &folders {
            let mut others = renderers_in(folder);
            match others.len() {
                0 => {}
                1 => return Ok(others.pop()),
                _ => return Err(ambiguous(&others)),
            }
        }
        let downloaded = downloaded(target);
        Ok(is_program(&downloaded).then_some(downloaded))
    }

    /// Where `PATH` leads.
    fn installed(&self) -> Vec<PathBuf> {
        let Some(search_path) = &self.search_path else {
            return Vec::new();
        };
        env::split_paths(search_path)
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

/// The name of a package's own renderer.
fn program_name(package: &str) -> String {
    format!("{package}{OWN}")
}

/// Where `cargo plushie build` puts a renderer.
fn builds(target: &Path) -> [PathBuf; 2] {
    let folder = target.join("plushie-renderer").join("target");
    [folder.join("release"), folder.join("debug")]
}

/// Where `cargo plushie download` puts a renderer.
fn downloaded(target: &Path) -> PathBuf {
    let system = match env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let name = format!(
        "plushie-renderer-{system}-{}{}",
        env::consts::ARCH,
        env::consts::EXE_SUFFIX
    );
    target.join("plushie").join("bin").join(name)
}

/// What is looked for in a target directory by name.
fn usual(target: &Path) -> Vec<PathBuf> {
    let built = builds(target).map(|folder| folder.join(NAME));
    built.into_iter().chain([downloaded(target)]).collect()
}

/// The programs in a folder whose names end as those of renderers do, by name.
fn renderers_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_named_so = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.ends_with(OWN))
    };
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| is_named_so(path) && is_program(path))
        .collect();
    found.sort();
    found
}

fn ambiguous(found: &[PathBuf]) -> Error {
    let paths: Vec<_> = found
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let message = format!(
        "there are several plushie renderers, and none is called {NAME} or after the package: {}",
        paths.join(", ")
    );
    Error::new(ErrorKind::RendererNotFound, message)
        .with_hint(format!("set {VARIABLE} to the path of one of them"))
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
             ({VARIABLE}, target/plushie-renderer, target/plushie/bin, bin, PATH)"
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

fn not_found(looked_at: &[PathBuf], installed: &[PathBuf]) -> Error {
    let mut message = format!("no plushie renderer found: {VARIABLE} is not set");
    for path in looked_at {
        message += &format!(", {} {}", path.display(), why_not(path));
    }
    if !looked_at.is_empty() {
        message += &format!(", nor is there another *{OWN} where cargo plushie builds");
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
        "install one with `cargo install plushie-renderer`, `cargo plushie build` or `cargo \
         plushie download`, or set {VARIABLE} to the path of one"
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
