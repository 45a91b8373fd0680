//! Bytes to and from a served pool.

use std::io::{self, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use plushie_pool::Address;

/// What a server sends, and what it is sent.
pub(crate) type Streams = (Box<dyn Read + Send>, Box<dyn Write + Send>);

/// Connects. A read gives up after `patience`, or never.
pub(crate) fn connect(address: &Address, patience: Option<Duration>) -> io::Result<Streams> {
    match address {
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port))?;
            stream.set_read_timeout(patience)?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream.try_clone()?), Box::new(stream)))
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(patience)?;
            Ok((Box::new(stream.try_clone()?), Box::new(stream)))
        }
        #[cfg(not(unix))]
        Address::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}
