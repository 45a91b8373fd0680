//! Renderers that listen, and addresses where none does.

mod support;

use plushie_pool_core::ErrorKind;
use plushie_pool_renderer::{Address, Connection, Connector, Credential, Launch};
use support::{all_of, within};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers when the other side has said all it has to say.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.expect("it is text");
    let answer = format!("heard {heard}");
    stream
        .write_all(answer.as_bytes())
        .await
        .expect("somebody listens");
}

async fn talk(mut connection: Connection) {
    assert!(connection.process.is_none());
    within(connection.writer.write_all(b"hello"))
        .await
        .expect("somebody listens");
    drop(connection.writer);
    assert_eq!(all_of(connection.reader).await, "heard hello");
}

fn connector(address: &str) -> std::sync::Arc<dyn Connector> {
    let address: Address = address.parse().expect("it is an address");
    address.connector(None).expect("this system has them")
}

#[tokio::test]
async fn tcp_ends_its_input_with_the_writer_and_still_hears_the_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connector = connector(&format!(":{port}"));
    assert_eq!(connector.describe(), format!("127.0.0.1:{port}"));
    assert!(connector.check().is_ok());

    let connection = within(connector.connect(&Launch::default())).await.unwrap();
    assert!(connection.credential.is_none());
    let (stream, _) = within(listener.accept()).await.unwrap();
    tokio::join!(serve(stream), talk(connection));
}

#[tokio::test]
async fn a_credential_comes_with_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let connector = address.connector(Some(Credential::new("hunter2"))).unwrap();
    assert!(!format!("{connector:?}").contains("hunter2"));

    let connection = within(connector.connect(&Launch::default())).await.unwrap();
    assert_eq!(connection.credential.unwrap().token(), "hunter2");
}

#[tokio::test]
async fn a_name_is_looked_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connecting = connector(&format!("localhost:{port}"));
    let connection = within(connecting.connect(&Launch::default()))
        .await
        .unwrap();
    let (stream, _) = within(listener.accept()).await.unwrap();
    tokio::join!(serve(stream), talk(connection));
    let unknown = connector(&format!("no-such-host.invalid:{port}"));
    let error = within(unknown.connect(&Launch::default()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Launch);
    assert!(
        error.to_string().contains("no-such-host.invalid"),
        "{error}"
    );
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = within(connector(&address).connect(&Launch::default()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Launch);
    assert!(error.to_string().contains(&address), "{error}");
}

#[cfg(unix)]
mod unix {
    use plushie_pool_renderer::UnixSocket;
    use tempfile::TempDir;
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_socket_ends_its_input_with_the_writer_and_still_hears_the_answer() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("plushie.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let connector = UnixSocket::new(&path).credential(Credential::new("hunter2"));

        let connection = within(connector.connect(&Launch::default())).await.unwrap();
        assert_eq!(connection.credential.as_ref().unwrap().token(), "hunter2");
        let (stream, _) = within(listener.accept()).await.unwrap();
        tokio::join!(serve(stream), talk(connection));
    }

    #[tokio::test]
    async fn a_path_where_nobody_listens_is_named() {
        let folder = TempDir::new().unwrap();
        let missing = folder.path().join("missing.sock");
        let abandoned = folder.path().join("abandoned.sock");
        drop(UnixListener::bind(&abandoned).unwrap());
        for path in [missing, abandoned] {
            let path = path.to_str().unwrap();
            let error = within(connector(path).connect(&Launch::default()))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Launch);
            assert!(error.to_string().contains(path), "{error}");
        }
    }
}
