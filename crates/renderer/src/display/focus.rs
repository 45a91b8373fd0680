//! The input focus of an X server that has no window manager to give it.
//!
//! Without one no window ever gets the focus. A [`FocusKeeper`] gives it to each new window, and
//! when the window that has it is gone, to the one that had it before.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use x11rb_protocol::connect::Connect;
use x11rb_protocol::protocol::xproto::{
    Atom, CLIENT_MESSAGE_EVENT, ChangeWindowAttributesAux, ChangeWindowAttributesRequest,
    ClientMessageEvent, DESTROY_NOTIFY_EVENT, DestroyNotifyEvent, EventMask, GE_GENERIC_EVENT,
    InputFocus, InternAtomReply, InternAtomRequest, MAP_NOTIFY_EVENT, MapNotifyEvent,
    SetInputFocusRequest, UNMAP_NOTIFY_EVENT, UnmapNotifyEvent, Window,
};
use x11rb_protocol::x11_utils::{Request, TryParse};

use super::reach;

/// A client of an X server, which does nothing but pass the input focus on.
#[derive(Debug)]
pub(super) struct FocusKeeper {
    stream: UnixStream,
    focus: Focus,
}

/// Which window has the focus, and which get it next.
#[derive(Debug)]
struct Focus {
    /// `_NET_ACTIVE_WINDOW`, the message by which a client asks for the focus.
    active_window: Atom,
    /// Top-level windows that are mapped. The last one has the focus.
    mapped: Vec<Window>,
}

/// What X calls the current time, and no window.
const NOW: u32 = 0;
const NO_WINDOW: Window = 0;

/// The first byte of a packet that is a reply.
const REPLY: u8 = 1;

/// The size of every event, and of a reply without what its length counts.
const PACKET: usize = 32;

impl FocusKeeper {
    /// Connects to the server at this socket. From then on no window is missed. Not bounded in
    /// time.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, refuses the connection or closes it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the connection is closed.
    pub(super) async fn connect(socket: &Path) -> io::Result<Self> {
        let mut stream = reach::connect(socket).await?;
        let root = set_up(&mut stream).await?;
        // At first the focus follows the pointer, and windows would lose it before they get it.
        let nothing = focus_on(NO_WINDOW);
        let windows = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
        let watch = ChangeWindowAttributesRequest {
            window: root,
            value_list: Cow::Borrowed(&windows),
        };
        let name = InternAtomRequest {
            only_if_exists: false,
            name: Cow::Borrowed(b"_NET_ACTIVE_WINDOW"),
        };
        let requests = [nothing, bytes(watch), bytes(name)].concat();
        stream.write_all(&requests).await?;
        // Requests are carried out in order, so the reply to the last shows that all were.
        let reply = loop {
            let packet = packet(&mut stream).await?;
            match packet[0] {
                REPLY => break packet,
                0 => return Err(io::Error::other("the X server refuses to be watched")),
                // A window that is mapped this early is that of no renderer.
                _ => {}
            }
        };
        let (reply, _) = InternAtomReply::try_parse(&reply).map_err(io::Error::other)?;
        let focus = Focus {
            active_window: reply.atom,
            mapped: Vec::new(),
        };
        Ok(Self { stream, focus })
    }

    /// Passes the focus on for as long as the server lives, and returns why it cannot any longer.
    pub(super) async fn run(mut self) -> io::Error {
        loop {
            if let Err(error) = self.step().await {
                return error;
            }
        }
    }

    async fn step(&mut self) -> io::Result<()> {
        let packet = packet(&mut self.stream).await?;
        if let Some(window) = self.focus.after(&packet) {
            self.stream.write_all(&focus_on(window)).await?;
        }
        Ok(())
    }
}

impl Focus {
    /// The window that is to get the focus after this packet from the server, if that changes.
    ///
    /// An error is none of these: a window may be gone before it gets the focus, and the server
    /// then says that it is.
    fn after(&mut self, packet: &[u8]) -> Option<Window> {
        // The highest bit tells whether a client sent it.
        match packet.first()? & 0x7f {
            MAP_NOTIFY_EVENT => {
                let (event, _) = MapNotifyEvent::try_parse(packet).ok()?;
                // Menus and tool tips do not want the focus.
                (!event.override_redirect).then(|| self.give(event.window))
            }
            CLIENT_MESSAGE_EVENT => {
                let (event, _) = ClientMessageEvent::try_parse(packet).ok()?;
                let asks = event.type_ == self.active_window && self.mapped.contains(&event.window);
                asks.then(|| self.give(event.window))
            }
            UNMAP_NOTIFY_EVENT => {
                let (event, _) = UnmapNotifyEvent::try_parse(packet).ok()?;
                self.take(event.window)
            }
            DESTROY_NOTIFY_EVENT => {
                let (event, _) = DestroyNotifyEvent::try_parse(packet).ok()?;
                self.take(event.window)
            }
            _ => None,
        }
    }

    fn give(&mut self, window: Window) -> Window {
        self.mapped.retain(|mapped| *mapped != window);
        self.mapped.push(window);
        window
    }

    /// The window is gone; the one that gets the focus in its place, if it had it.
    fn take(&mut self, window: Window) -> Option<Window> {
        let had_it = self.mapped.last() == Some(&window);
        self.mapped.retain(|mapped| *mapped != window);
        self.mapped.last().copied().filter(|_| had_it)
    }
}

/// Introduces a client, and returns the root window of the first screen.
async fn set_up(stream: &mut UnixStream) -> io::Result<Window> {
    let (mut connect, request) = Connect::with_authorization(Vec::new(), Vec::new());
    stream.write_all(&request).await?;
    loop {
        let read = stream.read(connect.buffer()).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if connect.advance(read) {
            break;
        }
    }
    let setup = connect.into_setup().map_err(io::Error::other)?;
    let screen = setup.roots.first();
    screen
        .map(|screen| screen.root)
        .ok_or_else(|| io::Error::other("the X server has no screen"))
}

/// The next packet. Of a longer one the rest is read and dropped.
async fn packet(stream: &mut UnixStream) -> io::Result<[u8; PACKET]> {
    let mut packet = [0; PACKET];
    stream.read_exact(&mut packet).await?;
    if let REPLY | GE_GENERIC_EVENT = packet[0] & 0x7f {
        let words = u32::from_ne_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let mut rest = stream.take(u64::from(words) * 4);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    }
    Ok(packet)
}

/// A request that gives the focus to this window. When it is gone nothing has the focus.
fn focus_on(window: Window) -> Vec<u8> {
    bytes(SetInputFocusRequest {
        revert_to: InputFocus::NONE,
        focus: window,
        time: NOW,
    })
}

/// A request of the core protocol as it is written, which has no opcode to be looked up.
fn bytes(request: impl Request) -> Vec<u8> {
    request.serialize(0).0
}

#[cfg(test)]
mod tests {
    use x11rb_protocol::x11_utils::Serialize;

    use super::*;

    const ACTIVE: Atom = 7;

    fn focus() -> Focus {
        Focus {
            active_window: ACTIVE,
            mapped: Vec::new(),
        }
    }

    fn mapped(window: Window, override_redirect: bool) -> [u8; PACKET] {
        MapNotifyEvent {
            response_type: MAP_NOTIFY_EVENT,
            sequence: 0,
            event: 1,
            window,
            override_redirect,
        }
        .into()
    }

    fn unmapped(window: Window) -> [u8; PACKET] {
        UnmapNotifyEvent {
            response_type: UNMAP_NOTIFY_EVENT,
            sequence: 0,
            event: 1,
            window,
            from_configure: false,
        }
        .into()
    }

    fn destroyed(window: Window) -> [u8; PACKET] {
        DestroyNotifyEvent {
            response_type: DESTROY_NOTIFY_EVENT,
            sequence: 0,
            event: 1,
            window,
        }
        .into()
    }

    fn asks(window: Window, type_: Atom) -> [u8; PACKET] {
        let mut event = ClientMessageEvent::new(32, window, type_, [0; 5]);
        // A client sent it.
        event.response_type |= 0x80;
        event.into()
    }

    #[test]
    fn a_new_window_gets_the_focus_and_the_one_before_gets_it_back() {
        let mut focus = focus();
        assert_eq!(focus.after(&mapped(10, false)), Some(10));
        assert_eq!(focus.after(&mapped(20, false)), Some(20));
        assert_eq!(focus.after(&mapped(30, false)), Some(30));
        // One that does not have it changes nothing.
        assert_eq!(focus.after(&unmapped(20)), None);
        assert_eq!(focus.after(&destroyed(20)), None);
        assert_eq!(focus.after(&unmapped(30)), Some(10));
        assert_eq!(focus.after(&destroyed(30)), None);
        assert_eq!(focus.after(&destroyed(10)), None);
    }

    #[test]
    fn a_menu_gets_no_focus() {
        let mut focus = focus();
        assert_eq!(focus.after(&mapped(10, true)), None);
        assert_eq!(focus.after(&unmapped(10)), None);
    }

    #[test]
    fn a_window_that_asks_for_the_focus_gets_it() {
        let mut focus = focus();
        focus.after(&mapped(10, false));
        focus.after(&mapped(20, false));
        assert_eq!(focus.after(&asks(10, ACTIVE)), Some(10));
        assert_eq!(focus.after(&asks(20, ACTIVE + 1)), None);
        // One that is not there.
        assert_eq!(focus.after(&asks(30, ACTIVE)), None);
        assert_eq!(focus.after(&destroyed(10)), Some(20));
    }

    #[test]
    fn what_is_no_event_of_a_window_changes_nothing() {
        let mut focus = focus();
        focus.after(&mapped(10, false));
        for kind in [0, REPLY, GE_GENERIC_EVENT, 0x7f] {
            let mut packet = [0; PACKET];
            packet[0] = kind;
            assert_eq!(focus.after(&packet), None);
        }
        assert_eq!(focus.after(&[]), None);
        assert_eq!(focus.after(&mapped(11, false).serialize()[..8]), None);
    }
}
