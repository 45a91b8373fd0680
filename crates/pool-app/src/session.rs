//! A session with an app in it.

use std::fmt;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use plushie::App;
use plushie::ConnectOpts;
use plushie_pool::{Error, ErrorKind, Message, SessionControl, SessionIo, SessionPool};
use plushie_pool_renderer::PrivateDirectory;
use serde::Serialize;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use crate::marked::Marked;
use crate::relay::relay;
use crate::steps::{Settle, What, gone};

/// An app that runs in a session, and the test's hand on it.
///
/// The app runs on a thread of its own, through `plushie::run_connect`, with nothing changed but
/// where it shows. Dropping this closes the session and ends the app, without waiting for either.
/// An app that never returns from `update` or `view` keeps its thread.
pub struct AppSession {
    control: SessionControl,
    settles: mpsc::UnboundedSender<Settle>,
    ended: Shared<BoxFuture<'static, Result<(), Error>>>,
    patience: Duration,
}

impl AppSession {
    /// Runs `A` in a session of the pool, waiting for a free one if need be; done when the app
    /// has shown its first view.
    ///
    /// # Errors
    ///
    /// As [`SessionPool::register`]; [`Launch`](ErrorKind::Launch) if the app's thread or socket
    /// cannot be made, [`SessionClosed`](ErrorKind::SessionClosed) if the app ended before it
    /// showed anything, [`Timeout`](ErrorKind::Timeout) of the reply phase if it showed nothing
    /// within the pool's timeout.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the session is given back and the app ends.
    pub async fn start<A: App>(pool: &SessionPool) -> Result<Self, Error> {
        let (stream, control) = pool.register().await?.into_io();
        let (settles, asked) = mpsc::unbounded_channel();
        let (listener, directory) = socket()?;
        let ended = run::<A>(listener, directory, stream, asked).map_err(failed)?;
        let app = Self {
            control,
            settles,
            ended,
            patience: pool.timeout(),
        };
        app.settle().await?;
        Ok(app)
    }

    /// To ask the renderer what the app shows, and all that is not an interact.
    pub fn control(&self) -> &SessionControl {
        &self.control
    }

    /// Clicks, types, or whatever the `interact` says, and waits until the app has reacted to all
    /// that came of it: what it shows now is what [`control`](Self::control) finds. The renderer's
    /// own response is returned; it names the events, except those of its steps.
    ///
    /// # Errors
    ///
    /// As [`SessionControl::interact`] and [`settle`](Self::settle). An app that ends because of
    /// it is [`SessionClosed`](ErrorKind::SessionClosed).
    ///
    /// # Cancel safety
    ///
    /// As [`SessionControl::interact`].
    pub async fn interact<T: Serialize + ?Sized>(&self, message: &T) -> Result<Message, Error> {
        // Before it begins: whoever leaves in between leaves nothing begun.
        let mut begun = Begun(Some(self));
        self.told(What::Begins).await?;
        let response = self.control.interact(message).await?;
        begun.0 = None;
        self.told(What::Ends).await?;
        Ok(response)
    }

    /// Waits until the app has reacted to all that it was told by now.
    ///
    /// # Errors
    ///
    /// [`Timeout`](ErrorKind::Timeout) of the reply phase, if that takes longer than the pool's
    /// timeout for requests; [`SessionClosed`](ErrorKind::SessionClosed) if the app has ended,
    /// or ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn settle(&self) -> Result<(), Error> {
        self.told(What::Nothing).await
    }

    async fn told(&self, what: What) -> Result<(), Error> {
        match self.tell(what).await {
            Ok(outcome) => outcome,
            Err(_) => Err(match self.ended.clone().await {
                Ok(()) => gone().with_session(self.control.id()),
                Err(error) => error.with_session(self.control.id()),
            }),
        }
    }

    fn tell(&self, what: What) -> oneshot::Receiver<Result<(), Error>> {
        let (done, waits) = oneshot::channel();
        let settle = Settle {
            done,
            what,
            deadline: Instant::now() + self.patience,
            patience: self.patience,
        };
        // If nobody takes it, the app is gone, and so is the sender it brings.
        let _ = self.settles.send(settle);
        waits
    }

    /// Ends the app, closes the session, and waits for both.
    ///
    /// # Errors
    ///
    /// As [`SessionControl::close`]; [`SessionClosed`](ErrorKind::SessionClosed) if the app had
    /// ended because it panicked or could not go on. That it ended by `Command::exit` is no error.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the session is closed whether the future is polled further or not.
    pub async fn close(self) -> Result<(), Error> {
        let closed = self.control.close().await;
        drop(self.settles);
        self.ended.await?;
        closed
    }
}

/// An interact that ends without a response ends all the same.
struct Begun<'a>(Option<&'a AppSession>);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(app) = self.0 {
            drop(app.tell(What::Ends));
        }
    }
}

impl fmt::Debug for AppSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppSession")
            .field("id", &self.control.id())
            .finish_non_exhaustive()
    }
}

fn failed(error: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Launch, error.to_string()).about("an app under test")
}

/// Of the names of directories.
const PREFIX: &str = "plushie-app-";

const SOCKET: &str = "renderer";

/// A socket that no other user can connect to.
fn socket() -> Result<(UnixListener, PrivateDirectory), Error> {
    let made = PrivateDirectory::filled(PREFIX, |directory| {
        let listener = UnixListener::bind(directory.join(SOCKET))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    let (directory, listener) = made.map_err(failed)?;
    // What earlier test processes left when they were killed.
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| directory.sweep(PREFIX, &[SOCKET]));
    Ok((listener, directory))
}

/// Starts the app on a thread of its own, and what connects it to its session on another; what
/// becomes of the app.
fn run<A: App>(
    listener: UnixListener,
    directory: PrivateDirectory,
    stream: SessionIo,
    settles: mpsc::UnboundedReceiver<Settle>,
) -> io::Result<Shared<BoxFuture<'static, Result<(), Error>>>> {
    let path = directory.path().join(SOCKET);
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let options = ConnectOpts {
        socket: Some(path.display().to_string()),
        // Without one the SDK waits a second for one on standard input.
        token: Some(String::new()),
    };

    let (ends, ended) = oneshot::channel();
    thread::Builder::new()
        .name("plushie-app".to_owned())
        .spawn(move || {
            let outcome = plushie::run_connect::<Marked<A>>(options);
            // Whoever left does not want to know.
            let _ = ends.send(outcome);
        })?;
    let ended = ended.map(outcome).boxed().shared();
    let over = ended.clone();
    thread::Builder::new()
        .name("plushie-app-relay".to_owned())
        .spawn(move || {
            let carried = carry(listener, directory, stream, settles);
            let carried = runtime.block_on(async {
                tokio::select! {
                    carried = carried => carried,
                    // It may never have come as far as its socket.
                    _ = over => Ok(()),
                }
            });
            if let Err(error) = carried {
                tracing::debug!(%error, "an app's socket failed");
            }
        })?;
    Ok(ended)
}

async fn carry(
    listener: UnixListener,
    directory: PrivateDirectory,
    stream: SessionIo,
    settles: mpsc::UnboundedReceiver<Settle>,
) -> io::Result<()> {
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let (app, _) = listener.accept().await?;
    // It is connected once, and never again.
    drop((listener, directory));
    relay(app, stream, settles).await
}

fn outcome(ended: Result<plushie::Result, oneshot::error::RecvError>) -> Result<(), Error> {
    let reason = match ended {
        // Its session was closed, by the test or by its own wish.
        Ok(Ok(()) | Err(plushie::Error::RendererExit(_))) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it panicked".to_owned(),
    };
    let message = format!("the app has ended: {reason}");
    Err(Error::new(ErrorKind::SessionClosed, message))
}
