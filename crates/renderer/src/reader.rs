//! What a renderer sends, and who reads it.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// What a renderer sends. Reads like any stream; one over a
/// [`descriptor`](Self::descriptor) may also be read by whoever waits for an answer, without
/// going through the thread that does the I/O.
pub struct Reader(Source);

enum Source {
    Stream(Box<dyn AsyncRead + Send + Unpin>),
    #[cfg(unix)]
    Descriptor(Descriptor),
}

impl Reader {
    /// Any stream.
    pub fn stream(stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self(Source::Stream(Box::new(stream)))
    }

    /// A pipe or a socket. Registered with the tokio runtime it is first read in.
    ///
    /// # Errors
    ///
    /// If it cannot be made not to block.
    #[cfg(unix)]
    pub fn descriptor(descriptor: std::os::fd::OwnedFd) -> io::Result<Self> {
        Descriptor::new(descriptor).map(|descriptor| Self(Source::Descriptor(descriptor)))
    }

    pub(crate) fn is_descriptor(&self) -> bool {
        match self.0 {
            Source::Stream(_) => false,
            #[cfg(unix)]
            Source::Descriptor(_) => true,
        }
    }

    /// What can be read without waiting, if it is a descriptor.
    #[cfg(unix)]
    pub(crate) fn raw(&self) -> Option<std::sync::Arc<std::os::fd::OwnedFd>> {
        match &self.0 {
            Source::Descriptor(descriptor) => Some(descriptor.raw.clone()),
            Source::Stream(_) => None,
        }
    }

    /// Stops being told when there is something to read, until it is read as a stream again.
    /// Returns what can be read and waited for meanwhile, if there is that.
    #[cfg(unix)]
    pub(crate) fn detach(&mut self) -> Option<std::sync::Arc<std::os::fd::OwnedFd>> {
        match &mut self.0 {
            Source::Descriptor(descriptor) => {
                descriptor.registered = None;
                Some(descriptor.raw.clone())
            }
            Source::Stream(_) => None,
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Source::Stream(stream) => Pin::new(stream).poll_read(context, buf),
            #[cfg(unix)]
            Source::Descriptor(descriptor) => descriptor.poll_read(context, buf),
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

#[cfg(unix)]
use descriptor::Descriptor;

#[cfg(unix)]
mod descriptor {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::sync::Arc;
    use std::task::{Context, Poll, ready};

    use rustix::io::Errno;
    use tokio::io::unix::AsyncFd;
    use tokio::io::{Interest, ReadBuf};

    pub(super) struct Descriptor {
        pub(super) raw: Arc<OwnedFd>,
        pub(super) registered: Option<AsyncFd<Arc<OwnedFd>>>,
    }

    impl Descriptor {
        pub(super) fn new(raw: OwnedFd) -> io::Result<Self> {
            rustix::io::ioctl_fionbio(&raw, true)?;
            Ok(Self {
                raw: Arc::new(raw),
                registered: None,
            })
        }

        pub(super) fn poll_read(
            &mut self,
            context: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let registered = match &self.registered {
                Some(registered) => registered,
                None => {
                    let raw = self.raw.clone();
                    // SAFETY: an `Arc` of an open descriptor gives the same one for as long as
                    // it lives, and it lives in what is registered.
                    let fresh =
                        unsafe { AsyncFd::register_with_interest(raw, Interest::READABLE) }?;
                    self.registered.insert(fresh)
                }
            };
            loop {
                let mut ready = ready!(registered.poll_read_ready(context))?;
                // SAFETY: nothing is made uninitialised: `read` only ever writes.
                let room = unsafe { buf.unfilled_mut() };
                match rustix::io::read(&self.raw, room) {
                    Ok((read, left)) => {
                        // Less than there was room for: all of it. More makes it ready again.
                        if !read.is_empty() && !left.is_empty() {
                            ready.clear_ready();
                        }
                        let read = read.len();
                        // SAFETY: `read` has written so many bytes.
                        unsafe { buf.assume_init(read) };
                        buf.advance(read);
                        return Poll::Ready(Ok(()));
                    }
                    Err(Errno::WOULDBLOCK) => ready.clear_ready(),
                    Err(Errno::INTR) => {}
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
        }
    }
}
