//! What the environment says.

use std::env;

use plushie_pool_core::{Error, ErrorKind};

/// The value of an environment variable. An empty one counts as none, as the plushie SDKs have it.
///
/// # Errors
///
/// [`ErrorKind::Config`] if it is not UTF-8. The error does not quote the value, which may be a
/// token.
pub fn variable(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Error::new(
            ErrorKind::Config,
            format!("{name} is not UTF-8"),
        )),
    }
}
