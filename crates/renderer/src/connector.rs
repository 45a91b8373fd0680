//! How bytes reach a renderer: the seam between the pool and the outside.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use plushie_pool_core::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Credential, Process, Reader};

/// Makes renderers reachable: by starting one, by connecting to one that listens, or
/// through pipes in memory.
///
/// # The least an implementor writes
///
/// [`describe`](Self::describe) and [`connect`](Self::connect).
///
/// The pool calls `connect` once for each renderer it wants, on the thread that does its
/// I/O, inside a tokio runtime with I/O and time enabled.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug + 'static {
    /// The path or the address, for errors, logs and status.
    fn describe(&self) -> String;

    /// Says what can be known to be wrong before anything is started.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RendererNotFound`](plushie_pool_core::ErrorKind::RendererNotFound) if
    /// `connect` cannot succeed because there is nothing to start.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Makes bytes flow to and from a renderer started with these arguments. It is not
    /// bounded in time: the caller does that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RendererNotFound`](plushie_pool_core::ErrorKind::RendererNotFound) or
    /// [`ErrorKind::Launch`](plushie_pool_core::ErrorKind::Launch), naming what
    /// [`describe`](Self::describe) names.
    ///
    /// # Cancel safety
    ///
    /// An implementation must leave nothing behind when the future is dropped: no process
    /// and no open connection.
    async fn connect(&self, launch: &Launch) -> Result<Connection, Error>;
}

#[async_trait]
impl<C: Connector + ?Sized> Connector for Arc<C> {
    fn describe(&self) -> String {
        (**self).describe()
    }

    fn check(&self) -> Result<(), Error> {
        (**self).check()
    }

    async fn connect(&self, launch: &Launch) -> Result<Connection, Error> {
        (**self).connect(launch).await
    }
}

/// What a renderer is to be started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launch {
    /// The arguments of the mode and of the wire format.
    pub args: Vec<String>,
}

impl Launch {
    /// A start with these arguments.
    pub fn new<A: Into<String>>(args: impl IntoIterator<Item = A>) -> Self {
        Self {
            args: args.into_iter().map(Into::into).collect(),
        }
    }
}

/// Bytes to and from one renderer.
///
/// The fields are public so that a connector can wrap what another one made.
#[non_exhaustive]
pub struct Connection {
    /// What the renderer sends.
    pub reader: Reader,
    /// What the renderer is sent. Dropping it must let the renderer see the end of its
    /// input, which is how it is asked to exit.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// The process behind it, if it was started for this connection.
    pub process: Option<Process>,
    /// What the renderer wants to be shown before it serves this connection.
    pub credential: Option<Credential>,
}

impl Connection {
    /// A connection to a renderer that somebody else started, or to none: pipes in memory.
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self {
            reader: Reader::stream(reader),
            writer: Box::new(writer),
            process: None,
            credential: None,
        }
    }

    /// Adds the process that was started for it. It ends with the connection.
    #[must_use]
    pub fn with_process(mut self, process: Process) -> Self {
        self.process = Some(process);
        self
    }

    /// Adds what the renderer wants to be shown.
    #[must_use]
    pub fn with_credential(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("process", &self.process)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_token() {
        let connection = Connection::new(tokio::io::empty(), tokio::io::sink())
            .with_credential(Credential::new("hunter2"));
        let shown = format!("{connection:?} {connection:#?}");
        assert!(shown.contains("Credential"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
