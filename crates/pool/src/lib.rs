//! (docs come last)

mod builder;
mod choice;
mod engine;
mod fleet;
mod io_thread;
mod pool;
mod registry;
mod request;
mod session;
mod status;

pub use builder::Builder;
pub use choice::{RendererMode, WireFormat};
pub use pool::SessionPool;
pub use request::{Request, Send, SendInteract};
pub use session::{Events, Session};
pub use status::{RendererStatus, Status};

pub use plushie_pool_core as core;
pub use plushie_pool_core::link::{LinkCounters, SessionEvent};
pub use plushie_pool_core::{
    Binary, Error, ErrorKind, Exit, Message, Mode, Origin, Phase, RendererId, RequestId,
    RestartPolicy, SessionId, Transport,
};
#[cfg(unix)]
pub use plushie_pool_renderer::UnixSocket;
pub use plushie_pool_renderer::{
    ChildProcess, Connection, Connector, Credential, Grace, Launch, Tcp,
};
