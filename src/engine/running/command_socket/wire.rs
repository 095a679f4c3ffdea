//! The bytes on the command socket, in both directions. Pure: it reads and writes no socket.
//!
//! All numbers are in the machine's own byte order, as LXC sends its structures as they are in
//! memory.

use crate::engine::terms::state::State;

/// Bytes of a request's or a response's head.
pub const HEAD: usize = 16;

/// The most bytes that may follow a head; only console output may be longer.
pub const MAX_PAYLOAD: usize = 8192;

/// The number of states, which a client that must wait gets instead of a state.
pub const MAX_STATE: u64 = 8;

/// What a supervisor can be asked; LXC's numbers, and from 1000 on wharf's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum SocketCommand {
    GetTtyFd = 0,
    /// LXC keeps its number, and closes the connection.
    TerminalWinch = 1,
    Stop = 2,
    GetState = 3,
    GetInitPid = 4,
    GetCloneFlags = 5,
    GetCgroup = 6,
    GetConfigItem = 7,
    GetName = 8,
    GetLxcpath = 9,
    AddStateClient = 10,
    ConsoleLog = 11,
    ServeStateClients = 12,
    SeccompNotifyAddListener = 13,
    AddBpfDeviceCgroup = 14,
    Freeze = 15,
    Unfreeze = 16,
    GetCgroup2Fd = 17,
    GetInitPidfd = 18,
    GetLimitCgroup = 19,
    GetLimitCgroup2Fd = 20,
    GetDevptsFd = 21,
    GetSeccompNotifyFd = 22,
    GetCgroupCtx = 23,
    GetCgroupFd = 24,
    GetLimitCgroupFd = 25,
    GetSystemdScope = 26,
    /// wharf: the console's recent output, then what follows, and frames of input.
    ConsoleView = 1000,
    /// wharf: how the end of init is handled for as long as the connection lasts; see [`Wish`].
    Wish = 1001,
    /// wharf: the filter of system calls that init has, in a file.
    GetFilterFd = 1002,
}

/// What a client that ends a container wants from its supervisor while the connection is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The container stays stopped, even if init asks for a restart.
    Stop,
    /// The same, and init is killed because it has no handler for this halt signal.
    Unheard(i32),
    /// The container is started again, however init ends; init is killed if it does not restart on
    /// this signal.
    Restart(i32),
}

impl Wish {
    const STOP: u64 = 1;
    const UNHEARD: u64 = 2;
    const RESTART: u64 = 3;

    /// Returns the argument of the request.
    pub const fn encode(self) -> u64 {
        match self {
            Self::Stop => Self::STOP,
            Self::Unheard(signal) => Self::UNHEARD | (signal as u64) << 8,
            Self::Restart(signal) => Self::RESTART | (signal as u64) << 8,
        }
    }

    /// Reads the argument of a request.
    pub const fn decode(data: u64) -> Option<Self> {
        match data & 0xff {
            Self::STOP => Some(Self::Stop),
            Self::UNHEARD => Some(Self::Unheard((data >> 8) as i32)),
            Self::RESTART => Some(Self::Restart((data >> 8) as i32)),
            _ => None,
        }
    }
}

impl SocketCommand {
    /// Every command that a wharf supervisor serves.
    pub const ALL: [Self; 30] = [
        Self::GetTtyFd,
        Self::TerminalWinch,
        Self::Stop,
        Self::GetState,
        Self::GetInitPid,
        Self::GetCloneFlags,
        Self::GetCgroup,
        Self::GetConfigItem,
        Self::GetName,
        Self::GetLxcpath,
        Self::AddStateClient,
        Self::ConsoleLog,
        Self::ServeStateClients,
        Self::SeccompNotifyAddListener,
        Self::AddBpfDeviceCgroup,
        Self::Freeze,
        Self::Unfreeze,
        Self::GetCgroup2Fd,
        Self::GetInitPidfd,
        Self::GetLimitCgroup,
        Self::GetLimitCgroup2Fd,
        Self::GetDevptsFd,
        Self::GetSeccompNotifyFd,
        Self::GetCgroupCtx,
        Self::GetCgroupFd,
        Self::GetLimitCgroupFd,
        Self::GetSystemdScope,
        Self::ConsoleView,
        Self::Wish,
        Self::GetFilterFd,
    ];

    /// Returns the command with this number, if wharf serves it.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|it| *it as i32 == number)
    }
}

mod device;

pub use device::{decode_device, encode_device};

/// The head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub command: i32,
    /// How many bytes follow.
    pub payload_len: i32,
    /// A small argument, when nothing follows.
    pub data: u64,
}

impl Request {
    /// Returns the head as it is sent.
    pub const fn encode(self) -> [u8; HEAD] {
        head(self.command, self.payload_len, self.data)
    }

    /// Reads a head.
    pub const fn decode(bytes: &[u8; HEAD]) -> Self {
        let (command, payload_len, data) = split(bytes);
        Self { command, payload_len, data }
    }
}

/// The head of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0, or a negative errno; state clients get a state's number here.
    pub result: i32,
    /// How many bytes follow.
    pub payload_len: i32,
    /// A small answer.
    pub data: u64,
}

impl Response {
    /// Returns the head as it is sent.
    pub const fn encode(self) -> [u8; HEAD] {
        head(self.result, self.payload_len, self.data)
    }

    /// Reads a head.
    pub const fn decode(bytes: &[u8; HEAD]) -> Self {
        let (result, payload_len, data) = split(bytes);
        Self { result, payload_len, data }
    }
}

const fn head(first: i32, second: i32, data: u64) -> [u8; HEAD] {
    let mut bytes = [0; HEAD];
    let (numbers, last) = bytes.split_at_mut(8);
    let (one, two) = numbers.split_at_mut(4);
    one.copy_from_slice(&first.to_ne_bytes());
    two.copy_from_slice(&second.to_ne_bytes());
    last.copy_from_slice(&data.to_ne_bytes());
    bytes
}

const fn split(bytes: &[u8; HEAD]) -> (i32, i32, u64) {
    let word = u128::from_le_bytes(*bytes);
    let first = (word as u32).to_le_bytes();
    let second = ((word >> 32) as u32).to_le_bytes();
    let data = ((word >> 64) as u64).to_le_bytes();
    (i32::from_ne_bytes(first), i32::from_ne_bytes(second), u64::from_ne_bytes(data))
}

/// Bytes of a message to state clients and to LXC's monitor fifo.
pub const EVENT: usize = 264;

/// Room for the container's name in an event, its NUL included.
const EVENT_NAME: usize = 256;

/// LXC's numbers for the kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorMessage {
    State(State),
    /// A wait status.
    Exit(i32),
}

/// The kind of a mark, which is wharf's, and which LXC's programs ignore.
const MARK: i32 = 1000;

/// Returns the message that reports `event` in the container `name`.
pub fn encode_event(name: &str, event: MonitorMessage) -> Vec<u8> {
    let (kind, value) = match event {
        MonitorMessage::State(state) => (0_i32, i32::from(state as u8)),
        MonitorMessage::Exit(status) => (2, status),
    };
    encode_message(kind, name, value)
}

/// Returns the message that comes back to `writer` once all that was written before it has come.
pub fn encode_mark(writer: &str, number: i32) -> Vec<u8> {
    encode_message(MARK, writer, number)
}

fn encode_message(kind: i32, name: &str, value: i32) -> Vec<u8> {
    let mut bytes = kind.to_ne_bytes().to_vec();
    bytes.extend(name.bytes().take(EVENT_NAME - 1));
    bytes.resize(4 + EVENT_NAME, 0);
    bytes.extend(value.to_ne_bytes());
    bytes
}

/// Reads a message that reports an event, and the name of its container.
pub fn decode_event(bytes: &[u8; EVENT]) -> Option<(String, MonitorMessage)> {
    let (kind, rest) = bytes.split_first_chunk()?;
    let (name, value) = rest.split_last_chunk()?;
    let value = i32::from_ne_bytes(*value);
    let message = match i32::from_ne_bytes(*kind) {
        0 => MonitorMessage::State(State::from_number(u64::try_from(value).ok()?)?),
        2 => MonitorMessage::Exit(value),
        _ => return None,
    };
    let name = name.split(|it| *it == 0).next()?;
    Some((String::from_utf8(name.to_vec()).ok()?, message))
}

/// Reads the number out of a mark of `writer`.
pub fn decode_mark(bytes: &[u8; EVENT], writer: &str) -> Option<i32> {
    let (_, value) = bytes.split_last_chunk()?;
    let number = i32::from_ne_bytes(*value);
    (bytes[..] == encode_mark(writer, number)).then_some(number)
}

/// Reads the state out of a message to a state client.
pub fn decode_state_event(bytes: &[u8; EVENT]) -> Option<State> {
    let (kind, _) = bytes.split_first_chunk()?;
    let (_, value) = bytes.split_last_chunk()?;
    let value = u64::try_from(i32::from_ne_bytes(*value)).ok()?;
    if i32::from_ne_bytes(*kind) == 0 { State::from_number(value) } else { None }
}

/// Returns the payload that asks for notice of `states`.
pub fn encode_wanted(states: &[State]) -> Vec<u8> {
    State::ALL.iter().flat_map(|it| i32::from(states.contains(it)).to_ne_bytes()).collect()
}

/// The states that a client waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedStates {
    pub states: Vec<State>,
    /// Those of them that are answered at once if the container is already in one.
    pub at_once: Vec<State>,
}

impl WantedStates {
    /// Returns whether the client is to be told of this change. A container that is thawed goes on
    /// as before: that is not the start that whoever waits for another RUNNING is waiting for.
    pub fn include(&self, from: State, to: State) -> bool {
        let goes_on = from == State::Thawed && to == State::Running;
        self.at_once.contains(&to) || (!goes_on && self.states.contains(&to))
    }
}

/// Returns the payload that asks for notice when one of `states` is entered anew, as `lxc-stop -r`
/// asks: a flag of 2 is not answered by the present state.
pub fn encode_wanted_anew(states: &[State]) -> Vec<u8> {
    let flag = |it| if states.contains(it) { ANEW } else { 0 };
    State::ALL.iter().flat_map(|it| flag(it).to_ne_bytes()).collect()
}

/// LXC's flag of a state that only counts when it is entered.
const ANEW: i32 = 2;

/// Reads which states a client waits for; `None` unless the payload has the right length.
pub fn decode_wanted(payload: &[u8]) -> Option<WantedStates> {
    let (flags, rest) = payload.as_chunks::<4>();
    if !rest.is_empty() || flags.len() != State::ALL.len() {
        return None;
    }
    let flags = flags.iter().map(|it| i32::from_ne_bytes(*it));
    let flags: Vec<_> = State::ALL.into_iter().zip(flags).collect();
    let having = |is: fn(i32) -> bool| {
        flags.iter().filter(|(_, flag)| is(*flag)).map(|(state, _)| *state).collect()
    };
    Some(WantedStates { states: having(|it| it != 0), at_once: having(|it| it == 1) })
}

/// The content of a request for buffered console output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    pub clear: bool,
    pub read: bool,
    /// 0: all of it.
    pub read_max: u64,
    pub write_logfile: bool,
}

impl LogRequest {
    const LEN: usize = 24;

    /// Returns the payload of the request.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.clear), u8::from(self.read), 0, 0, 0, 0, 0, 0];
        bytes.extend(self.read_max.to_ne_bytes());
        bytes.push(u8::from(self.write_logfile));
        bytes.resize(Self::LEN, 0);
        bytes
    }

    /// Reads the payload of a request.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = payload.try_into().ok()?;
        let [clear, read, _, _, _, _, _, _, max @ .., write, _, _, _, _, _, _, _] = *bytes;
        let read_max = u64::from_ne_bytes(max);
        Some(Self { clear: clear != 0, read: read != 0, read_max, write_logfile: write != 0 })
    }
}

/// Reads a string that LXC sends with its NUL; `None` if it has none, or one inside.
pub fn decode_text(payload: &[u8]) -> Option<&str> {
    let (nul, text) = payload.split_last()?;
    let clean = *nul == 0 && !text.contains(&0);
    if clean { std::str::from_utf8(text).ok() } else { None }
}

/// Returns a string as LXC sends it.
pub fn encode_text(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// What a console viewer sends: a byte for the kind, two for the length, then the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewerFrame {
    Input(Vec<u8>),
    Resize { rows: u16, columns: u16 },
}

/// The most bytes of input in one frame.
pub const MAX_INPUT: usize = 4096;

const INPUT: u8 = b'i';
const RESIZE: u8 = b'r';

/// Returns the frames that carry `bytes` of input.
pub fn encode_input(bytes: &[u8]) -> Vec<u8> {
    let frame = |piece: &[u8]| {
        let mut frame = vec![INPUT];
        frame.extend((piece.len() as u16).to_be_bytes());
        frame.extend_from_slice(piece);
        frame
    };
    bytes.chunks(MAX_INPUT).flat_map(frame).collect()
}

/// Returns the frame that gives the console's new size.
pub const fn encode_resize(rows: u16, columns: u16) -> [u8; 7] {
    let ([r1, r2], [c1, c2]) = (rows.to_be_bytes(), columns.to_be_bytes());
    [RESIZE, 0, 4, r1, r2, c1, c2]
}

/// Bytes that are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFrame;

/// Takes the first whole frame off `bytes`; `None` if more must be read first.
pub fn take_frame(bytes: &mut Vec<u8>) -> Result<Option<ViewerFrame>, BadFrame> {
    let Some(([kind, high, low], rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    if len > MAX_INPUT {
        return Err(BadFrame);
    }
    let Some(content) = rest.get(..len) else { return Ok(None) };
    let frame = match (*kind, content) {
        (INPUT, input) => ViewerFrame::Input(input.to_vec()),
        (RESIZE, [r1, r2, c1, c2]) => ViewerFrame::Resize {
            rows: u16::from_be_bytes([*r1, *r2]),
            columns: u16::from_be_bytes([*c1, *c2]),
        },
        _ => return Err(BadFrame),
    };
    bytes.drain(..3 + len);
    Ok(Some(frame))
}

#[cfg(test)]
mod tests;
