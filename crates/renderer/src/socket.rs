//! A renderer that listens, reached over a Unix socket or TCP.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
#[cfg(unix)]
use std::time::Instant;

use async_trait::async_trait;
use plushie_pool_core::{Error, ErrorKind};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use crate::{Connection, Connector, Credential, Launch, notice_loss};

/// Where a renderer listens, written as its `--listen` takes it.
///
/// | text | meaning |
/// |---|---|
/// | `:4567` | TCP on this machine's loopback |
/// | `127.0.0.1:4567`, `[::1]:4567`, `localhost:4567` | TCP |
/// | `/run/plushie.sock`, `./plushie.sock`, `plushie.sock` | a Unix socket |
///
/// A path with a colon in it has to start with `/` or `.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// An IP address, without brackets, or a name.
        host: String,
        /// The port; never 0 in an address that was parsed.
        port: u16,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// A connector to the renderer that listens there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a Unix socket on a system without them.
    pub fn connector(self, credential: Option<Credential>) -> Result<Arc<dyn Connector>, Error> {
        match self {
            Self::Tcp { host, port } => {
                let mut tcp = Tcp::new(host, port);
                tcp.credential = credential;
                Ok(Arc::new(tcp))
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let mut socket = UnixSocket::new(path);
                socket.credential = credential;
                Ok(Arc::new(socket))
            }
            #[cfg(not(unix))]
            Self::Unix(path) => Err(Error::new(
                ErrorKind::Config,
                format!(
                    "{} is the path of a Unix socket, which this system has not",
                    path.display()
                ),
            )
            .with_hint("give a TCP address, such as 127.0.0.1:4567")),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::Config`] for nothing at all, and for a TCP address without a usable port.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(malformed(text, "it is empty"));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Ok(Self::Unix(text.into()));
        };
        if text.starts_with(['/', '.']) {
            return Ok(Self::Unix(text.into()));
        }
        let port = match port.parse() {
            Ok(0) => return Err(malformed(text, "nothing can be reached at port 0")),
            Ok(port) => port,
            Err(_) => return Err(malformed(text, "what follows the colon is not a port")),
        };
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(host) => host,
            None if host.contains(':') => {
                return Err(malformed(text, "an IPv6 address needs brackets around it"));
            }
            None if host.is_empty() => "127.0.0.1",
            None => host,
        };
        Ok(Self::Tcp {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

fn malformed(text: &str, reason: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("{text:?} is not the address of a renderer: {reason}"),
    )
    .with_hint("write :PORT, HOST:PORT or the path of a Unix socket")
}

/// Connects to a renderer that listens on a TCP port.
///
/// It was started by somebody else: what a launch asks for has no effect on it.
#[derive(Debug, Clone)]
pub struct Tcp {
    host: String,
    port: u16,
    credential: Option<Credential>,
}

impl Tcp {
    /// Connects to this host, an IP address without brackets or a name, and port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            credential: None,
        }
    }

    /// Sets what the renderer wants to be shown.
    #[must_use]
    pub fn credential(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }

    /// What the host stands for. A name is looked up on a thread of its own, and not by tokio, which
    /// panics where the system has no thread to give.
    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let target = (self.host.clone(), self.port);
        let (found, addresses) = oneshot::channel();
        std::thread::Builder::new()
            .name("plushie-lookup".to_owned())
            .spawn(move || {
                let looked_up = (target.0.as_str(), target.1).to_socket_addrs();
                // The connection may have been given up.
                let _ = found.send(looked_up.map(Iterator::collect));
            })?;
        addresses.await.map_err(io::Error::other)?
    }

    async fn stream(&self) -> io::Result<TcpStream> {
        let addresses = self.addresses().await?;
        let stream = TcpStream::connect(&addresses[..]).await?;
        // Requests are small, and each is waited for.
        stream.set_nodelay(true)?;
        notice_loss(&stream, Duration::ZERO);
        Ok(stream)
    }
}

#[async_trait]
impl Connector for Tcp {
    fn describe(&self) -> String {
        let (host, port) = (self.host.clone(), self.port);
        Address::Tcp { host, port }.to_string()
    }

    /// Connects, to each address that the name stands for in turn. A connection whose other end
    /// is gone without a word, or takes nothing of what it is sent, ends within a minute.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Launch`] with the system's reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection that is half made is dropped.
    async fn connect(&self, _: &Launch) -> Result<Connection, Error> {
        let stream = self.stream().await.map_err(|e| refused(self, &e))?;
        let (reader, writer) = stream.into_split();
        Ok(with_optional(
            Connection::new(reader, writer),
            &self.credential,
        ))
    }
}

/// Connects to a renderer that listens on a Unix socket.
///
/// It was started by somebody else: what a launch asks for has no effect on it.
#[cfg(unix)]
#[derive(Debug, Clone)]
pub struct UnixSocket {
    path: PathBuf,
    credential: Option<Credential>,
}

#[cfg(unix)]
impl UnixSocket {
    /// Connects to the socket at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            credential: None,
        }
    }

    /// Sets what the renderer wants to be shown.
    #[must_use]
    pub fn credential(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }

    /// Waits while more clients connect than the other end accepts, but not without end.
    async fn stream(&self) -> io::Result<UnixStream> {
        let start = Instant::now();
        loop {
            match UnixStream::connect(&self.path).await {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && start.elapsed() < FULL =>
                {
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let message = "its queue of connections is full: is it stopped?";
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
                }
                connected => return connected,
            }
        }
    }
}

/// How long a queue of connections may be full.
#[cfg(unix)]
const FULL: Duration = Duration::from_secs(5);

/// How often it is tried again meanwhile.
#[cfg(unix)]
const AGAIN: Duration = Duration::from_millis(5);

#[cfg(unix)]
#[async_trait]
impl Connector for UnixSocket {
    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Launch`] with the system's reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection that is half made is dropped.
    async fn connect(&self, _: &Launch) -> Result<Connection, Error> {
        let stream = self.stream().await.map_err(|e| refused(self, &e))?;
        let (reader, writer) = stream.into_split();
        Ok(with_optional(
            Connection::new(reader, writer),
            &self.credential,
        ))
    }
}

fn refused(connector: &impl Connector, error: &io::Error) -> Error {
    let address = connector.describe();
    Error::new(
        ErrorKind::Launch,
        format!("cannot connect to a renderer at {address}: {error}"),
    )
    .with_hint(format!(
        "start one that listens there, as with `plushie-renderer --listen {address}`; one \
         that already serves somebody takes no second connection"
    ))
}

fn with_optional(connection: Connection, credential: &Option<Credential>) -> Connection {
    match credential {
        Some(credential) => connection.with_credential(credential.clone()),
        None => connection,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        let host = host.to_owned();
        Address::Tcp { host, port }
    }

    #[test]
    fn addresses_read_as_the_renderer_reads_them() {
        for (text, address, shown) in [
            (":4567", tcp("127.0.0.1", 4567), "127.0.0.1:4567"),
            ("0.0.0.0:80", tcp("0.0.0.0", 80), "0.0.0.0:80"),
            ("[::1]:4567", tcp("::1", 4567), "[::1]:4567"),
            ("localhost:1", tcp("localhost", 1), "localhost:1"),
            (
                "/tmp/a.sock",
                Address::Unix("/tmp/a.sock".into()),
                "/tmp/a.sock",
            ),
            ("/tmp/a:1", Address::Unix("/tmp/a:1".into()), "/tmp/a:1"),
            ("./a:1", Address::Unix("./a:1".into()), "./a:1"),
            ("a.sock", Address::Unix("a.sock".into()), "a.sock"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap(), address, "{text}");
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse::<Address>().unwrap(), address, "{shown}");
        }
    }

    #[test]
    fn what_is_no_address_is_the_callers_error() {
        for text in [
            "",
            ":",
            ":0",
            ":65536",
            "host:",
            "host:http",
            "::1:4567",
            ":-1",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
