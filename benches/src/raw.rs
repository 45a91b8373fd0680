//! The limit: a blocking loop over a renderer's pipes, with nothing it could do without.
//! Buffers are reused, what is known at one time goes out in one write, and of a reply no more
//! is read than where it belongs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use crate::args::Format;
use crate::callers::Program;
use crate::wire::{self, Addressed, ID, SESSION, TYPE};
use crate::workload::{
    BURST, Entries, Patch, Query, Reset, Screenshot, Snapshot, Trigger, Work, settings,
};

pub(crate) struct Raw {
    child: Child,
    pipes: Pipes,
    /// The number of the next session; none is used twice.
    next: usize,
    sessions: Vec<usize>,
}

struct Pipes {
    format: Format,
    stdin: File,
    stdout: File,
    out: Vec<u8>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    session: Vec<u8>,
    id: Vec<u8>,
}

impl Raw {
    pub(crate) fn start(program: &Program) -> io::Result<Self> {
        let mut child = Command::new(&program.path)
            .args(program.args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let taken = || io::Error::other("the pipes were asked for");
        let stdin = child.stdin.take().ok_or_else(taken)?;
        let stdout = child.stdout.take().ok_or_else(taken)?;
        let mut pipes = Pipes {
            format: program.format,
            stdin: OwnedFd::from(stdin).into(),
            stdout: OwnedFd::from(stdout).into(),
            out: Vec::new(),
            input: vec![0; 1 << 20],
            start: 0,
            end: 0,
            session: Vec::new(),
            id: Vec::new(),
        };
        pipes
            .format
            .frame(&mut pipes.out, |out| program.format.value(out, &settings()));
        pipes.flush()?;
        pipes.receive(|_, _| Ok(()))?;
        Ok(Self {
            child,
            pipes,
            next: 0,
            sessions: Vec::new(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn prepare(&mut self, work: Work) -> io::Result<()> {
        let tree = Snapshot::new(20);
        while self.sessions.len() < work.sessions() && work.keeps_sessions() {
            let session = self.new_session();
            self.sessions.push(session);
            self.pipes.push(session, None, &tree);
            self.query(session)?;
        }
        Ok(())
    }

    /// Ends the sessions that `prepare` opened.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        for session in std::mem::take(&mut self.sessions) {
            self.pipes.push(session, Some(0), &Reset);
            self.pipes.flush()?;
            self.wait_for("reset_response")?;
        }
        Ok(())
    }

    pub(crate) fn run(&mut self, work: Work, operations: usize) -> io::Result<()> {
        match work {
            Work::Query {
                sessions,
                in_flight,
            } => self.queries(sessions, in_flight, operations),
            Work::Life { at_once } => self.lives(at_once, operations),
            Work::Snapshot { nodes } => {
                let tree = Snapshot::new(nodes);
                let session = self.sessions[0];
                for _ in 0..operations {
                    self.pipes.push(session, None, &tree);
                    self.query(session)?;
                }
                Ok(())
            }
            Work::Patches => {
                let session = self.sessions[0];
                for _ in 0..operations / BURST {
                    for _ in 0..BURST {
                        self.pipes.push(session, None, &Patch);
                    }
                    self.query(session)?;
                }
                Ok(())
            }
            Work::Events => {
                let session = self.sessions[0];
                for _ in 0..operations / BURST {
                    for _ in 0..BURST {
                        self.pipes.push(session, None, &Trigger);
                    }
                    self.pipes.flush()?;
                    for _ in 0..BURST {
                        self.wait_for("op_query_response")?;
                    }
                }
                Ok(())
            }
            Work::Screenshot => {
                let session = self.sessions[0];
                for id in 0..operations {
                    self.pipes.push(session, Some(id), &Screenshot);
                    self.pipes.flush()?;
                    self.wait_for("screenshot_response")?;
                }
                Ok(())
            }
        }
    }

    fn new_session(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    fn query(&mut self, session: usize) -> io::Result<()> {
        self.pipes.push(session, Some(0), &Query);
        self.pipes.flush()?;
        self.wait_for("query_response")
    }

    fn wait_for(&mut self, kind: &str) -> io::Result<()> {
        let mut found = false;
        while !found {
            self.pipes.receive(|format, payload| {
                found = format.envelope(payload, &TYPE) == kind;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn queries(&mut self, sessions: usize, in_flight: usize, operations: usize) -> io::Result<()> {
        let first = self.sessions[0];
        let mut sent = 0;
        for session in first..first + sessions {
            for _ in 0..in_flight {
                self.pipes.push(session, Some(sent), &Query);
                sent += 1;
            }
        }
        self.pipes.flush()?;
        let mut received = 0;
        let mut answered = Vec::new();
        while received < operations {
            self.pipes.receive_all(|format, payload| {
                wire::number(format.envelope(payload, &ID));
                answered.push(wire::number(format.envelope(payload, &SESSION)));
            })?;
            received += answered.len();
            for session in answered.drain(..) {
                if sent < operations {
                    self.pipes.push(session, Some(sent), &Query);
                    sent += 1;
                }
            }
            self.pipes.flush()?;
        }
        Ok(())
    }

    fn lives(&mut self, at_once: usize, operations: usize) -> io::Result<()> {
        let tree = Snapshot::new(20);
        let mut begun = 0;
        let mut ended = 0;
        let mut said = Vec::new();
        while ended < operations {
            while begun < operations && begun - ended < at_once {
                begun += 1;
                let session = self.new_session();
                self.pipes.push(session, None, &tree);
                self.pipes.push(session, Some(0), &Query);
            }
            self.pipes.flush()?;
            self.pipes
                .receive_all(|format, payload| match format.envelope(payload, &TYPE) {
                    "query_response" => said.push(wire::number(format.envelope(payload, &SESSION))),
                    "reset_response" => ended += 1,
                    _ => {}
                })?;
            for session in said.drain(..) {
                self.pipes.push(session, Some(1), &Reset);
            }
        }
        Ok(())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Killed and reaped, or there is nothing to end; either way it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pipes {
    fn push<T: Entries>(&mut self, session: usize, id: Option<usize>, message: &T) {
        let message = Addressed {
            session: wire::name(&mut self.session, b'r', session),
            id: id.map(|id| wire::name(&mut self.id, b'q', id)),
            message,
        };
        self.format
            .frame(&mut self.out, |out| self.format.value(out, &message));
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdin.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Waits for one message.
    fn receive(&mut self, read: impl FnOnce(Format, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut scanned = 0;
        loop {
            let input = &self.input[self.start..self.end];
            if let Some((from, to, next)) = self.format.cut(input, scanned) {
                read(self.format, &input[from..to])?;
                self.start += next;
                return Ok(());
            }
            scanned = input.len();
            self.fill()?;
        }
    }

    /// Waits for a message, and takes all that came with it.
    fn receive_all(&mut self, mut read: impl FnMut(Format, &[u8])) -> io::Result<()> {
        self.receive(|format, payload| {
            read(format, payload);
            Ok(())
        })?;
        loop {
            let input = &self.input[self.start..self.end];
            let Some((from, to, next)) = self.format.cut(input, 0) else {
                return Ok(());
            };
            read(self.format, &input[from..to]);
            self.start += next;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.input.len() {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.input.len() {
                self.input.resize(2 * self.end, 0);
            }
        }
        match self.stdout.read(&mut self.input[self.end..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.end += n;
                Ok(())
            }
        }
    }
}
