//! A session as a stream that speaks the renderer's own protocol.

use plushie_pool::{ErrorKind, RendererMode, SessionControl, SessionIo, SessionPool, WireFormat};
use plushie_pool_tests::client::Client;
use plushie_pool_tests::wire::Format;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::interact::{focusing, form, show_name, type_text};
use crate::support::{click, counter, everywhere, find, pool, show, snapshot, until, within};

everywhere! {
    an_app_runs_on_it_in_either_format
    a_test_drives_what_an_app_shows
    it_ends_from_either_end_and_its_place_is_free
}

const FORMATS: [Format; 2] = [Format::Json, Format::Msgpack];

async fn one_of(mode: RendererMode, format: WireFormat) -> SessionPool {
    pool(mode, format).max_sessions(1).start().await.unwrap()
}

async fn app(pool: &SessionPool, format: Format) -> (Client<SessionIo>, SessionControl, Value) {
    let (stream, control) = within(pool.register()).await.unwrap().into_io();
    let (app, hello) = within(Client::admitted(stream, format, json!({}))).await;
    (app, control, hello)
}

/// A text field that has the focus.
async fn focus(app: &mut Client<SessionIo>) {
    app.tell("", &snapshot(&form())).await;
    for action in focusing() {
        let done = within(app.ask("", &action)).await;
        assert_eq!(done["type"], "interact_response", "{done}");
    }
}

async fn an_app_runs_on_it_in_either_format(mode: RendererMode, format: WireFormat) {
    let pool = one_of(mode, format).await;
    for spoken in FORMATS {
        let (mut app, control, hello) = app(&pool, spoken).await;
        assert_eq!(hello["mode"], mode.to_string());
        assert_eq!(hello["transport"], "pool");
        let codec = match spoken {
            Format::Json => "json",
            Format::Msgpack => "msgpack",
        };
        assert_eq!(hello["codec"], codec);

        app.tell("", &snapshot(&counter(0))).await;
        let click = within(app.ask("", &click("increment"))).await;
        assert_eq!(click["events"][0]["family"], "click", "{click}");
        app.tell("", &show(1)).await;
        let found = within(app.ask("", &find("count"))).await;
        assert_eq!(found["data"]["props"]["content"], "1", "{found}");

        // What has no id, or is the client's own, comes back all the same.
        app.tell(
            "",
            &json!({"type": "register_effect_stub", "kind": "clipboard_read", "response": "x"}),
        )
        .await;
        let ack = within(app.hear_of("", "effect_stub_register_ack")).await;
        assert_eq!(ack["kind"], "clipboard_read");
        let effect = json!({"type": "effect", "kind": "clipboard_read", "payload": {}});
        let effect = within(app.ask("", &effect)).await;
        assert_eq!(effect["result"], "x", "{effect}");
        let focused = json!({"type": "widget_op", "op": "find_focused", "payload": {"tag": "t"}});
        app.tell("", &focused).await;
        let focused = within(app.hear_of("", "op_query_response")).await;
        assert_eq!(focused["tag"], "t", "{focused}");

        let shot = json!({"type": "screenshot", "name": "n", "width": 40, "height": 30});
        let shot = within(app.ask("", &shot)).await;
        assert_eq!(shot["type"], "screenshot_response");
        if mode == RendererMode::Headless {
            let rgba = shot["rgba"].as_str().unwrap();
            match spoken {
                Format::Json => assert_eq!(rgba.len(), 40 * 30 * 4 / 3 * 4),
                Format::Msgpack => assert_eq!(rgba, "4800 bytes"),
            }
        }
        drop((app, control));
    }
}

async fn a_test_drives_what_an_app_shows(mode: RendererMode, format: WireFormat) {
    let pool = one_of(mode, format).await;
    for spoken in FORMATS {
        let (mut app, control, _) = app(&pool, spoken).await;
        focus(&mut app).await;
        // The app answers each step; the test's own messages wait for the interact to end.
        let test = async {
            let response = control.interact(&type_text("ab")).await.unwrap();
            assert_eq!(response.kind(), "interact_response");
            let name = control.request(&find("name"), "query_response").await;
            name.unwrap().decode::<Value>().unwrap()
        };
        let app = async {
            for typed in ["a", "ab"] {
                let step = app.hear_of("", "interact_step").await;
                assert_eq!(step["events"][0]["value"], typed, "{step}");
                app.tell("", &show_name(typed)).await;
            }
            app.hear_of("", "interact_response").await;
            // Kept for as long as the test asks.
            app.hear().await
        };
        let (name, _) = within(async {
            tokio::select! {
                name = test => (name, ()),
                heard = app => panic!("{heard:?}"),
            }
        })
        .await;
        assert_eq!(name["data"]["props"]["value"], "ab", "{name}");

        let refused = control.request(&click("increment"), "interact_response");
        assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::InvalidMessage);
    }
}

async fn it_ends_from_either_end_and_its_place_is_free(mode: RendererMode, format: WireFormat) {
    let pool = one_of(mode, format).await;
    for spoken in FORMATS {
        // Reset.
        let (mut stream, _control, _) = app(&pool, spoken).await;
        stream.tell("", &snapshot(&counter(0))).await;
        within(stream.reset("")).await;
        assert_eq!(within(stream.hear()).await, None);
        assert_eq!(pool.status().sessions, 0);

        // Exit.
        let (mut stream, _control, _) = app(&pool, spoken).await;
        stream.tell("", &snapshot(&counter(0))).await;
        let exit = json!({"type": "widget_op", "op": "exit", "payload": {}});
        stream.tell("", &exit).await;
        assert_eq!(within(stream.hear()).await, None);
        until("the place is free", || pool.status().sessions == 0).await;

        // The end of what the app writes: what it asked for is still answered.
        let (mut stream, _control, _) = app(&pool, spoken).await;
        stream.tell("", &snapshot(&counter(7))).await;
        let mut query = find("count");
        query["id"] = "last".into();
        stream.tell("", &query).await;
        stream.stream().shutdown().await.unwrap();
        let found = within(stream.hear()).await.unwrap();
        assert_eq!(found["data"]["props"]["content"], "7", "{found}");
        assert_eq!(within(stream.hear()).await, None);
        until("the place is free", || pool.status().sessions == 0).await;

        // Dropped, with the control still there.
        let (mut stream, control, _) = app(&pool, spoken).await;
        stream.tell("", &snapshot(&counter(0))).await;
        drop(stream);
        until("the place is free", || pool.status().sessions == 0).await;
        let error = control.request(&find("count"), "query_response").await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::SessionClosed);

        // By the test.
        let (mut stream, control, _) = app(&pool, spoken).await;
        stream.tell("", &snapshot(&counter(0))).await;
        within(async {
            let (closed, ()) = tokio::join!(control.close(), async {
                stream.hear_of("", "session_closed").await;
                assert_eq!(stream.hear().await, None);
            });
            closed.unwrap();
        })
        .await;
        assert_eq!(pool.status().sessions, 0);
    }
}

/// Everything but the test's own waiting runs without a runtime.
#[test]
fn it_needs_no_runtime() {
    use futures::executor::block_on;

    let pool = block_on(pool(RendererMode::Mock, WireFormat::Msgpack).start()).unwrap();
    let (stream, _control) = block_on(pool.register()).unwrap().into_io();
    let (mut reader, mut writer) = tokio::io::split(stream);
    // The two ends in two threads, neither of them a runtime's.
    let reading = std::thread::spawn(move || {
        block_on(async {
            let mut heard = Vec::new();
            reader.read_to_end(&mut heard).await.unwrap();
            heard
        })
    });
    block_on(async {
        for message in [
            json!({"type": "settings", "settings": {"protocol_version": 1}}),
            json!({"type": "snapshot", "tree": counter(3)}),
            json!({"type": "tree_hash", "id": "h", "name": "n"}),
        ] {
            let frame = Format::Json.frame(&message);
            // In pieces, as bytes come.
            for piece in frame.chunks(7) {
                writer.write_all(piece).await.unwrap();
            }
        }
        writer.shutdown().await.unwrap();
    });
    let heard = String::from_utf8(reading.join().unwrap()).unwrap();
    let lines: Vec<Value> = heard
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{heard}");
    assert_eq!(lines[0]["type"], "hello");
    assert_eq!(lines[1]["type"], "tree_hash_response");
    assert_eq!(lines[1]["id"], "h");
}
