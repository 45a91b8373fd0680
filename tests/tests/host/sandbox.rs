//! A sandbox that forbids `prctl`.

use plushie_pool::{Display, RendererMode, SessionPool, WireFormat};
use plushie_pool_renderer::Screen;

use crate::support::{counter, pool, shown, snapshot, within};
use crate::{host, is_host, said};

/// Where in what a filter sees the number of the system call is.
const NUMBER: u32 = 0;

/// Has `prctl` fail with EPERM in this thread and in all that it starts, processes included.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the constants are that small"
)]
fn forbid_prctl() {
    let instruction = |code, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let result = libc::BPF_RET | libc::BPF_K;
    let mut filter = [
        instruction(load, 0, 0, NUMBER),
        instruction(equal, 0, 1, libc::SYS_prctl as u32),
        instruction(result, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        instruction(result, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: both take what they are given here, and the kernel copies the filter.
    let outcomes = unsafe {
        (
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const program,
            ),
        )
    };
    assert_eq!(outcomes, (0, 0), "{}", std::io::Error::last_os_error());
    // SAFETY: it changes nothing.
    let forbidden = unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut filter) };
    assert_eq!(forbidden, -1);
}

#[test]
fn a_pool_starts_where_prctl_is_forbidden_and_says_what_is_missing() {
    let said = said(&mut host("sandbox::pools_without_prctl", "without prctl"));
    let warnings = said.matches("PR_SET_PDEATHSIG").count();
    assert_eq!(warnings, 1, "{said}");
    assert!(said.contains("stays behind"), "{said}");
}

/// A host in a sandbox.
#[tokio::test]
async fn pools_without_prctl() {
    if !is_host("without prctl") {
        return;
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::level_filters::LevelFilter::WARN)
        .init();
    forbid_prctl();
    let on = |mode, display| {
        let pool = pool(mode, WireFormat::Msgpack);
        match display {
            Some(display) => pool.display(display),
            None => pool,
        }
    };
    let mut pools = vec![
        on(RendererMode::Mock, None),
        on(RendererMode::Headless, None),
    ];
    for display in [Display::Weston, Display::Xvfb] {
        if Screen::find(display, |name| std::env::var_os(name)).is_ok() {
            pools.push(on(RendererMode::Windowed, Some(display)));
        }
    }
    for pool in pools {
        let pool: SessionPool = within(pool.start()).await.unwrap();
        let session = within(pool.register()).await.unwrap();
        session.send(&snapshot(&counter(4))).await.unwrap();
        assert_eq!(shown(&session).await, "4");
        within(pool.shutdown()).await.unwrap();
    }
}
