//! Between an app's socket and its session.

use std::cell::RefCell;
use std::io;
use std::time::Instant;

use plushie_pool::SessionIo;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::steps::{Line, Said, Settle, Steps};

/// Carries what the two say to each other until one of them ends, or nobody has a hand on the
/// app any more.
///
/// # Errors
///
/// If the app's socket fails.
pub(crate) async fn relay(
    app: UnixStream,
    session: SessionIo,
    settles: mpsc::UnboundedReceiver<Settle>,
) -> io::Result<()> {
    let (from_app, to_app) = app.into_split();
    let (from_session, to_session) = tokio::io::split(session);
    // One task: what is told and what is heard are never counted at the same time.
    let steps = RefCell::new(Steps::default());
    // Neither waits for the other, or an app that talks while it is talked to would stop both.
    tokio::select! {
        ended = down(BufReader::new(from_session), to_app, settles, &steps) => ended,
        ended = up(BufReader::new(from_app), to_session, &steps) => ended,
    }
}

/// What the renderer says, and what the test wants to know.
async fn down(
    mut session: BufReader<impl AsyncRead + Unpin>,
    mut app: impl AsyncWrite + Unpin,
    mut settles: mpsc::UnboundedReceiver<Settle>,
    steps: &RefCell<Steps>,
) -> io::Result<()> {
    // Whatever comes first the app takes for hello.
    let mut greeted = false;
    let mut line = Line::new();
    loop {
        let deadline = steps.borrow().deadline();
        let out_of_patience = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // In this order: an interact's last message has come before the test knows of it,
            // and goes to the app before what the test says next.
            biased;
            read = session.read_until(b'\n', &mut line) => {
                if read? == 0 {
                    return Ok(());
                }
                app.write_all(&line).await?;
                let mark = steps.borrow_mut().tell(&line);
                if let Some(mark) = mark {
                    app.write_all(&mark).await?;
                }
                line.clear();
                greeted = true;
            }
            settle = settles.recv(), if greeted => {
                let Some(settle) = settle else {
                    return Ok(());
                };
                let mark = steps.borrow_mut().settle(settle);
                app.write_all(&mark).await?;
            }
            () = out_of_patience => steps.borrow_mut().expire(Instant::now()),
        }
    }
}

/// What the app says.
async fn up(
    mut app: BufReader<impl AsyncRead + Unpin>,
    mut session: impl AsyncWrite + Unpin,
    steps: &RefCell<Steps>,
) -> io::Result<()> {
    loop {
        let mut line = Line::new();
        if app.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let said = steps.borrow_mut().hear(line);
        match said {
            Said::Message(line) => session.write_all(&line).await?,
            Said::Answer(line) => session.write_all(&line).await?,
            Said::Settled(trees, settle) => {
                for tree in trees {
                    session.write_all(&tree).await?;
                }
                // A stream takes something more, be it nothing, when it has passed on what it was
                // given: then what the test asks next comes behind it.
                let _nothing = session.write(&[]).await?;
                // Whoever left does not want to know.
                let _ = settle.done.send(Ok(()));
            }
            Said::Kept | Said::Nothing => {}
        }
    }
}
