//! Bytes to and from a served pool.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::{fd::OwnedFd, unix::net::UnixStream};
#[cfg(unix)]
use std::path::Path;
use std::time::{Duration, Instant};

use plushie_pool::Address;
use plushie_pool_renderer::notice_loss;
#[cfg(unix)]
use socket2::{Domain, SockAddr, Socket, Type};

/// What a server sends, and what it is sent.
pub(crate) type Streams = (Box<dyn Read + Send>, Outlet);

/// What a server is sent.
#[derive(Debug)]
pub(crate) enum Outlet {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects, in a bounded time. A read or a write gives up after `timeout`, or never.
pub(crate) fn connect(address: &Address, timeout: Option<Duration>) -> io::Result<Streams> {
    match address {
        Address::Tcp { host, port } => {
            let stream = tcp(host, *port)?;
            stream.set_read_timeout(timeout)?;
            stream.set_write_timeout(timeout)?;
            stream.set_nodelay(true)?;
            notice_loss(&stream, Duration::ZERO);
            Ok((Box::new(stream.try_clone()?), Outlet::Tcp(stream)))
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let stream = unix(path)?;
            stream.set_read_timeout(timeout)?;
            stream.set_write_timeout(timeout)?;
            Ok((Box::new(stream.try_clone()?), Outlet::Unix(stream)))
        }
        #[cfg(not(unix))]
        Address::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// To each address that the name stands for in turn.
fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let end = Instant::now() + CONNECT_TIMEOUT;
    let mut last = None;
    for address in (host, port).to_socket_addrs()? {
        // A timeout of nothing is an error of its own.
        let left = end.saturating_duration_since(Instant::now());
        match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => last = Some(busy()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("the name stands for no address")))
}

/// A blocking connect waits without end while the server's queue of connections is full.
#[cfg(unix)]
fn unix(path: &Path) -> io::Result<UnixStream> {
    let address = SockAddr::unix(path)?;
    let end = Instant::now() + CONNECT_TIMEOUT;
    loop {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address) {
            Ok(()) => {
                socket.set_nonblocking(false)?;
                return Ok(OwnedFd::from(socket).into());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() >= end {
                    return Err(busy());
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(error),
        }
    }
}

fn busy() -> io::Error {
    let message = format!(
        "it accepts no connection for {CONNECT_TIMEOUT:?}, and its queue of connections is full: is it stopped?"
    );
    io::Error::new(io::ErrorKind::TimedOut, message)
}

impl Outlet {
    /// Sends no more; what the server still sends can be read.
    pub(crate) fn end(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.flush(),
        }
    }
}
