//! One connection and its session ids.

use futures::future::join_all;
use plushie_pool::{Display, RendererMode};
use plushie_pool_renderer::Screen;
use plushie_pool_tests::font;
use plushie_pool_tests::wire::Format;
use serde_json::json;

use crate::support::{
    FORMATS, admitted, admitted_with, click, everywhere, find, label, pool, served, shown, until,
    within,
};

#[tokio::test]
async fn each_id_is_a_session_in_every_mode_and_both_formats() {
    for (mode, format) in everywhere() {
        let server = served(pool().mode(mode).format(format)).await;
        for spoken in FORMATS {
            let mut client = admitted(&server, spoken).await;
            for session in ["", "a", "s1", "~1"] {
                client
                    .tell(session, &label(&format!("in {session:?}")))
                    .await;
            }
            for session in ["", "a", "s1", "~1"] {
                assert_eq!(shown(&mut client, session).await, format!("in {session:?}"));
                let clicked = within(client.ask(session, &click())).await;
                assert_eq!(clicked["type"], "interact_response", "{clicked}");
                assert_eq!(clicked["events"][0]["family"], "click", "{clicked}");
            }
            assert_eq!(server.stats().sessions, 4);
            drop(client);
            until("all is back", || server.pool().status().sessions == 0).await;
        }
    }
}

#[tokio::test]
async fn one_place_has_one_session_at_once_however_fast_it_changes_hands() {
    let server = served(pool().max_sessions(1)).await;
    let clients = (0..8).map(async |_| {
        for _ in 0..20 {
            let mut client = admitted(&server, Format::Json).await;
            assert!(shown(&mut client, "").await.is_null());
        }
    });
    within(join_all(clients)).await;
    until("all is back", || server.stats().sessions == 0).await;
    let stats = server.stats();
    assert_eq!((stats.sessions_served, stats.most_sessions), (160, 1));
}

#[tokio::test]
async fn eight_ids_are_reset_and_used_again_a_thousand_times() {
    const IDS: usize = 8;
    const TIMES: usize = 1000;
    let server = served(pool().max_sessions(IDS).recycle_after(5000)).await;
    let mut client = admitted(&server, Format::Msgpack).await;
    let ids: Vec<String> = (0..IDS).map(|n| format!("id{n}")).collect();
    for time in 0..TIMES {
        for id in &ids {
            client.tell(id, &label(&format!("{id} {time}"))).await;
        }
        for id in &ids {
            assert_eq!(shown(&mut client, id).await, format!("{id} {time}"));
        }
        for id in &ids {
            within(client.reset(id)).await;
        }
    }
    let stats = server.stats();
    assert_eq!(stats.sessions_served, (IDS * TIMES) as u64);
    assert_eq!((stats.sessions, stats.failures), (0, 0));
    assert_eq!(stats.most_sessions, IDS);
    let status = server.pool().status();
    assert_eq!((status.sessions, status.deaths), (0, 0));
    println!("{stats:?}");
}

#[tokio::test]
async fn what_was_asked_before_a_reset_is_answered_before_it() {
    let server = served(pool()).await;
    let mut client = admitted(&server, Format::Json).await;
    client.tell("a", &label("x")).await;
    for n in 0..100 {
        let mut query = find("label");
        query["id"] = format!("q{n}").into();
        client.tell("a", &query).await;
    }
    client.tell("a", &json!({"type": "reset", "id": "r"})).await;
    for n in 0..100 {
        let answer = within(client.hear()).await.unwrap();
        assert_eq!(answer["id"], format!("q{n}"), "{answer}");
        assert_eq!(answer["data"]["props"]["content"], "x");
    }
    let reset = within(client.hear()).await.unwrap();
    assert_eq!(
        (&reset["type"], &reset["id"]),
        (&"reset_response".into(), &"r".into())
    );
    let closed = within(client.hear()).await.unwrap();
    assert_eq!(closed["family"], "session_closed");
    // A new life, of which nothing is known.
    assert!(shown(&mut client, "a").await.is_null());
}

#[tokio::test]
async fn what_happened_before_a_reset_is_told_before_it() {
    let server = served(pool()).await;
    for spoken in FORMATS {
        let mut client = admitted(&server, spoken).await;
        for n in 0..50 {
            let session = format!("s{n}");
            let payload = json!({"text": "hear, hear"});
            let announce = json!({"type": "widget_op", "op": "announce", "payload": payload});
            client.tell(&session, &announce).await;
            client
                .tell(&session, &json!({"type": "reset", "id": "r"}))
                .await;
            for told in ["announce", "reset_response", "session_closed"] {
                let heard = within(client.hear()).await.unwrap();
                let is_it = heard["type"] == told || heard["family"] == told;
                assert!(is_it, "{told}: {heard}");
            }
        }
    }
}

#[tokio::test]
async fn resetting_what_never_was_is_answered_too_and_takes_no_session() {
    let server = served(pool().max_sessions(1)).await;
    let mut client = admitted(&server, Format::Json).await;
    client.tell("a", &label("x")).await;
    assert_eq!(shown(&mut client, "a").await, "x");
    within(client.reset("never")).await;
    assert_eq!(server.stats().sessions_served, 1);
}

#[tokio::test]
async fn settings_reach_each_session() {
    let server = served(pool().mode(RendererMode::Headless)).await;
    let mut hashes = Vec::new();
    for size in [10, 40] {
        let settings = json!({"default_text_size": size});
        let mut client = admitted_with(&server, Format::Json, settings).await;
        for session in ["a", "b"] {
            client.tell(session, &label("text")).await;
            let shot = json!({"type": "screenshot", "name": "n", "width": 200, "height": 100});
            let shot = within(client.ask(session, &shot)).await;
            hashes.push(shot["hash"].as_str().unwrap().to_owned());
        }
    }
    let [small, also_small, large, also_large] = &hashes[..] else {
        panic!("{hashes:?}");
    };
    assert_eq!((small, large), (also_small, also_large));
    assert_ne!(small, large);
}

/// The SDKs end at a message that they do not know, so there is none for that.
#[tokio::test]
async fn a_full_pool_makes_clients_wait_their_turn_without_a_word() {
    let held = std::time::Duration::from_secs(4);
    let server = served(pool().max_sessions(1)).await;
    let mut first = admitted(&server, Format::Json).await;
    first.tell("", &label("first")).await;
    assert_eq!(shown(&mut first, "").await, "first");

    let mut second = admitted(&server, Format::Msgpack).await;
    second.tell("", &label("second")).await;
    let told = tokio::time::timeout(held, second.hear()).await;
    assert!(told.is_err(), "{told:?}");

    // The first goes on as if nobody waited.
    assert_eq!(shown(&mut first, "").await, "first");
    drop(first);
    assert_eq!(shown(&mut second, "").await, "second");
    assert_eq!(server.stats().waits, 1);
}

#[tokio::test]
async fn who_waits_too_long_is_told_as_by_a_renderer_that_is_full() {
    let patience = std::time::Duration::from_millis(50);
    let server = served(pool().max_sessions(1).acquire_timeout(patience)).await;
    let mut client = admitted(&server, Format::Json).await;
    assert!(shown(&mut client, "a").await.is_null());
    client.tell("b", &label("b")).await;
    let error = within(client.hear_of("b", "session_error")).await;
    assert_eq!(error["data"]["code"], "max_sessions_reached", "{error}");
    let text = error["data"]["error"].as_str().unwrap();
    assert!(text.contains("max_sessions"), "{text}");
    // The id can be used once there is room.
    within(client.reset("a")).await;
    client.tell("b", &label("b")).await;
    assert_eq!(shown(&mut client, "b").await, "b");
}

#[tokio::test]
async fn exit_ends_the_connection_of_one_session_and_nothing_of_many() {
    let server = served(pool()).await;
    let exit = json!({"type": "widget_op", "op": "exit", "payload": {}});
    let mut many = admitted(&server, Format::Json).await;
    for session in ["a", "b"] {
        many.tell(session, &label(session)).await;
    }
    many.tell("a", &exit).await;
    for session in ["a", "b"] {
        assert_eq!(shown(&mut many, session).await, session);
    }
    for spoken in FORMATS {
        let mut one = admitted(&server, spoken).await;
        one.tell("", &label("x")).await;
        assert_eq!(shown(&mut one, "").await, "x");
        one.tell("", &exit).await;
        assert_eq!(within(one.hear()).await, None);
    }
    assert_eq!(shown(&mut many, "a").await, "a");
}

#[tokio::test]
async fn exit_in_a_session_that_a_client_does_not_have_opens_none() {
    let server = served(pool().max_sessions(2)).await;
    let exit = json!({"type": "widget_op", "op": "exit", "payload": {}});
    for spoken in FORMATS {
        let mut client = admitted(&server, spoken).await;
        client.tell("a", &label("a")).await;
        client.tell("", &exit).await;
        assert_eq!(shown(&mut client, "a").await, "a");
        assert_eq!(server.pool().status().sessions, 1);
        client.tell("b", &label("b")).await;
        assert_eq!(shown(&mut client, "b").await, "b");
        for session in ["a", "b"] {
            within(client.reset(session)).await;
        }
    }
}

/// As a windowed renderer, which exits whatever session is named.
#[tokio::test]
async fn exit_ends_the_connection_of_one_window_whatever_session_it_names() {
    if !has_a_display() {
        return;
    }
    let server = served(pool().mode(RendererMode::Windowed).max_sessions(1)).await;
    let exit = json!({"type": "widget_op", "op": "exit", "payload": {}});
    for (lives, spoken) in (1..).zip(FORMATS) {
        let mut client = admitted(&server, spoken).await;
        client.tell("pool_1", &label("x")).await;
        assert_eq!(shown(&mut client, "pool_1").await, "x");
        client.tell("", &exit).await;
        while within(client.hear()).await.is_some() {}
        let launches: u64 = lives;
        assert_eq!(server.pool().status().launches, launches);
        assert_eq!(server.report().server.failures, 0);
    }
}

#[tokio::test]
async fn when_the_renderer_dies_its_clients_hear_of_it() {
    let server = served(pool()).await;
    let mut one = admitted(&server, Format::Json).await;
    assert!(shown(&mut one, "").await.is_null());
    let mut many = admitted(&server, Format::Msgpack).await;
    assert!(shown(&mut many, "a").await.is_null());

    let pid = server.pool().status().renderers[0].pid.unwrap();
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();

    let error = within(one.hear_of("", "session_error")).await;
    // There is no word of the renderer's for that but this.
    assert_eq!(error["data"]["code"], "renderer_panic", "{error}");
    within(one.hear_of("", "session_closed")).await;
    let last = within(one.hear_of("", "error")).await;
    assert!(
        last["message"].as_str().unwrap().contains("signal"),
        "{last}"
    );
    assert_eq!(within(one.hear()).await, None);

    within(many.hear_of("a", "session_error")).await;
    within(many.hear_of("a", "session_closed")).await;
    // The pool has another renderer by now, or soon.
    many.tell("a", &label("again")).await;
    assert_eq!(shown(&mut many, "a").await, "again");
}

/// One for each session, and none that only says hello.
#[tokio::test]
async fn as_many_windows_are_started_as_there_are_sessions() {
    for (clients, each) in [(1, 1), (3, 1), (1, 3), (2, 2)] {
        let sessions = clients * each;
        let builder = pool().mode(RendererMode::Windowed).max_sessions(sessions);
        if !has_a_display() {
            return;
        }
        let server = served(builder).await;
        // All of them at once: none is there before the first has asked.
        let admissions = (0..clients).map(|_| admitted(&server, Format::Json));
        let mut admissions = join_all(admissions).await;
        for client in &mut admissions {
            for session in 0..each {
                let name = format!("s{session}");
                client.tell(&name, &label("x")).await;
                assert_eq!(shown(client, &name).await, "x");
            }
        }
        let status = server.pool().status();
        assert_eq!(status.sessions, sessions);
        assert_eq!(status.launches as usize, sessions, "{clients} x {each}");
        within(server.shutdown()).await;
    }
}

/// More of them than a renderer loads fonts.
#[tokio::test]
async fn each_client_has_the_font_of_its_settings_however_many_there_were() {
    let server = served(pool().mode(RendererMode::Headless)).await;
    let folder = tempfile::tempdir().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..300 {
        let family = format!("Block {n}");
        let path = folder.path().join(&family);
        std::fs::write(&path, font::block(&family)).unwrap();
        let settings = json!({"fonts": [path]});
        let mut client = admitted_with(&server, FORMATS[n % 2], settings).await;
        let letters = json!({
            "id": "letters", "type": "text",
            "props": {"content": "xxx", "font": {"family": family}}, "children": [],
        });
        let tree = json!({"id": "main", "type": "window", "props": {}, "children": [letters]});
        client
            .tell("a", &json!({"type": "snapshot", "tree": tree}))
            .await;
        let take = json!({"type": "screenshot", "name": "a", "width": 80, "height": 40});
        let taken = within(client.ask("a", &take)).await;
        seen.insert(taken["hash"].as_str().unwrap().to_owned());
        within(client.reset("a")).await;
        assert_eq!(seen.len(), 1, "client {n} sees something else");
    }
    assert_eq!(server.pool().status().launches, 2);
}

/// A missing one is said, and a failure where it is required.
fn has_a_display() -> bool {
    let Err(missing) = Screen::find(Display::Auto, |name| std::env::var_os(name)) else {
        return true;
    };
    let required = std::env::var("PLUSHIE_POOL_REQUIRE_DISPLAY");
    assert!(required.as_deref() != Ok("1"), "{missing}");
    eprintln!("SKIPPED: {missing}");
    false
}
