//! What a frame of 200x50 costs: painting it, and painting it including the encoding for the
//! terminal. The containers are made up; nothing runs and nothing is read.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use crossterm::event::{KeyCode, KeyEvent};
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use wharf::engine;
use wharf::engine::State;
use wharf::engine::cgroup::Layout;
use wharf::engine::process::{Process, ProcessOrder, forest};
use wharf::engine::sample::{Container, Counters, Detail, HostSample, Limit, Psi};
use wharf::ui::message::Message;
use wharf::ui::model::Model;
use wharf::ui::theme::{ColourDepth, Theme};
use wharf::ui::update::update;
use wharf::ui::view::view;
use wharf::widgets::look::{Glyphs, Look};

#[path = "../tests/golden/made_up.rs"]
mod made_up;

const SIZE: (u16, u16) = (200, 50);
const CONTAINERS: i32 = 100;
const PROCESSES: i32 = 40;
/// Seconds of history in the graphs.
const HISTORY: u64 = 60;

fn look() -> Look {
    Theme::Dark.look(ColourDepth::True, &Glyphs::UNICODE)
}

/// Returns the sample from `second` seconds after the start.
fn sample(second: u64) -> Message {
    let taken = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + second);
    let containers = (0..CONTAINERS).filter_map(|it| container(it, second, taken)).collect();
    let host = HostSample {
        hostname: "bench".to_owned(),
        layout: Some(Layout::Hybrid),
        cpus: Some(2),
        cpu_used: Some(1.0 + (second % 7) as f32 / 10.0),
        memory_bytes: Some(24 << 30),
        memory_used_bytes: Some(3 << 30),
        psi: Psi { cpu: Some((second % 5) as f32), memory: Some(0.0), io: Some(0.0) },
        lacks: Vec::new(),
    };
    Message::Sampled(Arc::new(made_up::sample(taken, host, containers)))
}

fn container(number: i32, second: u64, taken: SystemTime) -> Option<Container> {
    let moving = (u64::from(number.unsigned_abs()) * 7 + second * 13) % 100;
    let name = format!("web-{number:03}").parse().ok()?;
    Some(Container {
        since: taken.checked_sub(Duration::from_secs(100_000)),
        init_pid: Some(1000 + number),
        counters: Counters {
            cpu_percent: Some(moving as f32),
            cpu_total: Some(Duration::from_secs(second)),
            memory_bytes: Some((400 + moving) << 20),
            memory_max_bytes: Some(Limit::At(512 << 20)),
            pids: Some(moving),
            pids_max: Some(Limit::Max),
            psi: Psi { cpu: Some(moving as f32 / 10.0), memory: Some(0.0), io: Some(0.0) },
            ..Counters::default()
        },
        detail: (number == 0).then(|| detail(moving)),
        ..made_up::container(name, State::Running)
    })
}

fn detail(moving: u64) -> Detail {
    let process = |pid: i32| Process {
        parent: pid / 3,
        inner_pid: Some(pid),
        cpu_percent: Some(moving as f32 / 10.0),
        rss_bytes: Some(moving << 20),
        ..made_up::process(pid, &format!("/usr/sbin/worker --number {pid} --with-some-arguments"))
    };
    let value = moving.to_string();
    let file = |it: i32| made_up::file("memory", &format!("memory.file{it}"), &value);
    Detail {
        processes: forest((1..PROCESSES).map(process).collect(), ProcessOrder::Pid),
        files: (0..60).map(file).collect(),
        ..Detail::default()
    }
}

/// A screen that has been watched for a minute.
fn watched(keys: &[KeyCode]) -> Model {
    let mut model = Model::new(SIZE, SystemTime::UNIX_EPOCH);
    for second in 0..HISTORY {
        _ = update(&mut model, sample(second));
    }
    for key in keys {
        _ = update(&mut model, Message::Key(KeyEvent::from(*key)));
    }
    model
}

fn frames(criterion: &mut Criterion) {
    let look = look();
    for (screen, keys) in [("list", &[][..]), ("container", &[KeyCode::Enter])] {
        let mut model = watched(keys);
        let mut buf = Buffer::empty(Rect::new(0, 0, SIZE.0, SIZE.1));
        criterion.bench_function(&format!("paint the {screen}"), |it| {
            it.iter(|| view(black_box(&model), None, &look, &mut buf));
        });

        let options = TerminalOptions { viewport: Viewport::Fixed(buf.area) };
        let backend = CrosstermBackend::new(std::io::sink());
        let Ok(mut terminal) = Terminal::with_options(backend, options) else { return };
        let mut seconds = HISTORY..;
        criterion.bench_function(&format!("take in a sample and draw the {screen}"), |it| {
            let next = || seconds.next().map(sample);
            let draw = |sample: Option<Message>| {
                _ = sample.map(|it| update(&mut model, it));
                terminal.draw(|frame| view(&model, None, &look, frame.buffer_mut())).is_ok()
            };
            it.iter_batched(next, draw, BatchSize::SmallInput);
        });
    }
}

criterion_group!(benches, frames);
criterion_main!(benches);
