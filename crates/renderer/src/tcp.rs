//! How soon the end of the other machine is noticed.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// How long a connection may be silent before the system asks the other one whether it is there.
const SILENCE: Duration = Duration::from_secs(10);

/// How long it waits before it asks again.
const AGAIN: Duration = Duration::from_secs(5);

/// How often it asks, where [`notice_loss`] cannot set a time.
const TIMES: u32 = 4;

/// Has the system end a connection whose other end is gone without a word: switched off, or cut
/// off by the network. That takes about 30 s, or `patience` if that is more, from the time when
/// either end last said something; what this end goes on to say meanwhile makes it begin once more.
/// By default it takes two hours, or, with data on its way, a quarter of an hour.
///
/// On Linux this sets `TCP_USER_TIMEOUT`, too: the connection also ends if the other end, while it
/// is there, takes nothing of what it is sent for so long.
pub fn notice_loss<S>(stream: &S, patience: Duration)
where
    for<'s> SockRef<'s>: From<&'s S>,
{
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(AGAIN)
        .with_retries(TIMES);
    let mut set = socket.set_tcp_keepalive(&keepalive);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let patience = patience.max(SILENCE + AGAIN * TIMES);
        set = set.and_then(|()| socket.set_tcp_user_timeout(Some(patience)));
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = patience;
    if let Err(error) = set {
        // The connection works all the same.
        tracing::debug!(%error, "keepalive cannot be set");
    }
}
