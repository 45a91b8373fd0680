//! Directories where only this user may look, for Unix sockets and what belongs to them.

use std::env;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use plushie_pool_core::{Error, ErrorKind};
use rustix::process::geteuid;

/// A new directory of this user's alone, removed with all that is in it when dropped.
///
/// While it exists it holds a shared `flock` on the directory. `systemd-tmpfiles` leaves a locked
/// directory alone, however old it is, and so does [`sweep`](Self::sweep).
#[derive(Debug)]
pub struct PrivateDirectory {
    path: PathBuf,
    /// None on a file system without locks.
    _lock: Option<File>,
}

/// How many random bytes are in a name.
const RANDOM: usize = 6;

impl PrivateDirectory {
    /// Makes a directory whose name starts with `prefix`, and in it what `fill` makes, which gets
    /// the directory's absolute path.
    ///
    /// The places are `XDG_RUNTIME_DIR`, the temporary directory (`TMPDIR`) and `/tmp`. It is the
    /// first that is absolute, where no other user may replace what lies there, and where the
    /// directory can be made and filled: a socket's path, for example, is at most 107 bytes long
    /// on Linux. What a failed `fill` leaves is removed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if there is no such place, with what is wrong with each.
    pub fn filled<T>(
        prefix: &str,
        mut fill: impl FnMut(&Path) -> io::Result<T>,
    ) -> Result<(Self, T), Error> {
        let mut problems = Vec::new();
        for (name, place) in places() {
            let filled = usable(&place, name).and_then(|()| {
                let directory = Self::inside(&place, prefix)?;
                let content = fill(&directory.path)?;
                Ok((directory, content))
            });
            match filled {
                Ok(filled) => return Ok(filled),
                Err(error) => problems.push(format!("{name} ({}): {error}", place.display())),
            }
        }
        let message = format!("no private directory can be made: {}", problems.join("; "));
        Err(Error::new(ErrorKind::Config, message)
            .with_hint("set XDG_RUNTIME_DIR to a short path of a directory of yours"))
    }

    fn inside(place: &Path, prefix: &str) -> io::Result<Self> {
        let mut random = [0; RANDOM];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = place.join(format!("{prefix}{random}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        let mut directory = Self { path, _lock: None };
        // Where the umask takes something from its owner.
        fs::set_permissions(&directory.path, Permissions::from_mode(0o700))?;
        let opened = File::open(&directory.path)?;
        match opened.lock_shared() {
            Ok(()) => directory._lock = Some(opened),
            Err(error) => tracing::debug!(%error, "a private directory cannot be locked"),
        }
        Ok(directory)
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the directories of the same kind beside it that a killed process left: those that
    /// hold nothing but files of these names, which no process has locked, and whose sockets no
    /// process has bound. What cannot be removed stays.
    pub fn sweep(&self, prefix: &str, files: &[&str]) {
        let Some(entries) = self.path.parent().map(fs::read_dir).and_then(Result::ok) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(prefix) && entry.path() != self.path {
                // One that disappears meanwhile is as good as removed.
                let _ = remove_if_left(&entry.path(), files);
            }
        }
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, "a private directory cannot be removed");
        }
    }
}

/// Whether no process has bound this socket any more. It never blocks, and a server that is there
/// does not learn of it: a datagram socket cannot connect to one that listens, which is another
/// error.
pub fn is_abandoned(socket: &Path) -> io::Result<bool> {
    match UnixDatagram::unbound()?.connect(socket) {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        // EPROTOTYPE has no kind of its own.
        Err(error) if error.raw_os_error() == Some(PROTOTYPE) => Ok(false),
        Err(error) => Err(error),
    }
}

const PROTOTYPE: i32 = rustix::io::Errno::PROTOTYPE.raw_os_error();

/// Where there may be private directories, best first, and what they are called in errors.
fn places() -> Vec<(&'static str, PathBuf)> {
    let mut places = Vec::new();
    if let Some(runtime) = env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty()) {
        places.push(("XDG_RUNTIME_DIR", runtime.into()));
    }
    let temporary = env::temp_dir();
    let last = PathBuf::from("/tmp");
    if !temporary.as_os_str().is_empty() && temporary != last {
        places.push(("TMPDIR", temporary));
    }
    places.push((LAST, last));
    places
}

/// The place that is tried whatever its permissions say: there is no other.
const LAST: &str = "the last resort";

/// # Errors
///
/// Why a path of this place could not be told to others, or leads to another user's files.
fn usable(place: &Path, name: &str) -> io::Result<()> {
    if !place.is_absolute() {
        return Err(io::Error::other("the path is not absolute"));
    }
    if place.to_str().is_none_or(|path| path.contains('\n')) {
        return Err(io::Error::other("the path is not one line of UTF-8"));
    }
    let found = fs::metadata(place)?;
    if name == LAST {
        return Ok(());
    }
    // Whose owner may rename what is in it, and put something of the same name in its place.
    if ![0, geteuid().as_raw()].contains(&found.uid()) {
        return Err(io::Error::other("it belongs to another user"));
    }
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    if found.mode() & OTHERS_WRITE != 0 && found.mode() & STICKY == 0 {
        return Err(io::Error::other("every user may replace what is in it"));
    }
    Ok(())
}

fn remove_if_left(directory: &Path, files: &[&str]) -> io::Result<()> {
    let found = fs::symlink_metadata(directory)?;
    let is_private = found.is_dir() && found.permissions().mode() & 0o777 == 0o700;
    if !is_private || found.uid() != geteuid().as_raw() {
        return Ok(());
    }
    // Its maker locks it before there is anything in it.
    let lock = File::open(directory)?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    let mut left = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_socket = entry.file_type()?.is_socket();
        let is_known = files.iter().any(|file| entry.file_name() == *file);
        if !is_known || is_socket && !is_abandoned(&entry.path())? {
            return Ok(());
        }
        left.push(entry.path());
    }
    if left.is_empty() {
        // It may be about to be filled.
        return Ok(());
    }
    for file in left {
        fs::remove_file(file)?;
    }
    fs::remove_dir(directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_directory_is_private_locked_and_gone_in_the_end() {
        let base = tempfile::tempdir().unwrap();
        let directory = PrivateDirectory::inside(base.path(), "p-").unwrap();
        let mode = fs::metadata(directory.path()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        let other = File::open(directory.path()).unwrap();
        assert!(other.try_lock().is_err());
        other.lock_shared().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        drop(directory);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_sweep_removes_what_is_left_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let make = |name: &str, files: &[&str], mode: u32| {
            let path = base.path().join(name);
            fs::create_dir(&path).unwrap();
            for file in files {
                drop(UnixListener::bind(path.join(file)).unwrap());
            }
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        };
        let gone = make("p-gone", &["s"], 0o700);
        let both = make("p-both", &["s", "t"], 0o700);
        let stays = [
            make("p-open", &["s"], 0o755),
            make("p-empty", &[], 0o700),
            make("p-foreign", &["s", "x"], 0o700),
            make("q-other", &["s"], 0o700),
            make("p-live", &[], 0o700),
            make("p-locked", &["s"], 0o700),
        ];
        let _live = UnixListener::bind(stays[4].join("s")).unwrap();
        let locked = File::open(&stays[5]).unwrap();
        locked.lock_shared().unwrap();
        let own = PrivateDirectory::inside(base.path(), "p-").unwrap();
        fs::write(own.path().join("s"), "").unwrap();
        own.sweep("p-", &["s", "t"]);
        assert!(!gone.exists() && !both.exists());
        for path in stays {
            assert!(path.exists(), "{path:?}");
        }
        assert!(own.path().join("s").exists());
    }

    #[test]
    fn only_a_socket_without_a_process_is_abandoned() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(!is_abandoned(&path).unwrap());
        drop(listener);
        assert!(is_abandoned(&path).unwrap());
        let missing = is_abandoned(&base.path().join("missing"));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
