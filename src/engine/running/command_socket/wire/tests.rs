//! The wire format survives every round trip and refuses every malformed message.

use proptest::prelude::*;

use super::*;

#[test]
fn a_request_lies_as_in_lxcs_memory() {
    let bytes = Request { command: 6, payload_len: 8, data: 0x0102 }.encode();
    let mut expected = 6_i32.to_ne_bytes().to_vec();
    expected.extend(8_i32.to_ne_bytes());
    expected.extend(0x0102_u64.to_ne_bytes());
    assert_eq!(bytes.to_vec(), expected);
}

#[test]
fn a_log_request_has_lxcs_padding() {
    let request = LogRequest { clear: true, read: true, read_max: 7, write_logfile: true };
    let bytes = request.encode();
    assert_eq!(bytes.len(), 24);
    assert_eq!(bytes[8..16], 7_u64.to_ne_bytes());
    assert_eq!((bytes[0], bytes[1], bytes[16]), (1, 1, 1));
    assert_eq!(LogRequest::decode(&bytes), Some(request));
    assert_eq!(LogRequest::decode(&bytes[1..]), None);
}

#[test]
fn an_event_names_container_and_state() {
    let bytes = encode_event("web", MonitorMessage::State(State::Frozen));
    assert_eq!(bytes.len(), EVENT);
    assert_eq!(&bytes[4..8], b"web\0");
    assert_eq!(decode_state_event(&bytes.try_into().unwrap()), Some(State::Frozen));
    let exit: [u8; EVENT] = encode_event("web", MonitorMessage::Exit(256)).try_into().unwrap();
    assert_eq!(decode_state_event(&exit), None);
}

#[test]
fn wanted_states_survive() {
    let wanted = [State::Stopped, State::Frozen];
    let bytes = encode_wanted(&wanted);
    assert_eq!(bytes.len(), 32);
    let read = decode_wanted(&bytes).unwrap();
    assert_eq!((read.states.as_slice(), read.at_once.as_slice()), (&wanted[..], &wanted[..]));
    // What `lxc-stop -r` sends: RUNNING is wanted, and the present one does not count.
    let anew = decode_wanted(&encode_wanted_anew(&[State::Running])).unwrap();
    assert_eq!(anew, WantedStates { states: vec![State::Running], at_once: Vec::new() });
    assert!(anew.include(State::Starting, State::Running));
    // Such as by that command, whose signal a frozen container gets once it is thawed.
    assert!(!anew.include(State::Thawed, State::Running));
    let thawed = decode_wanted(&encode_wanted(&[State::Running])).unwrap();
    assert!(thawed.include(State::Thawed, State::Running));
    assert!(!thawed.include(State::Running, State::Freezing));
    assert_eq!(decode_wanted(&bytes[..31]), None);
    assert_eq!(decode_wanted(&[bytes.as_slice(), &[0]].concat()), None);
}

#[test]
fn texts_end_with_their_only_nul() {
    assert_eq!(decode_text(b"freezer\0"), Some("freezer"));
    for bad in [b"".as_slice(), b"freezer", b"a\0b\0", b"\xff\0"] {
        assert_eq!(decode_text(bad), None);
    }
}

#[test]
fn every_command_has_its_number() {
    for command in SocketCommand::ALL {
        assert_eq!(SocketCommand::from_number(command as i32), Some(command));
    }
    assert_eq!(SocketCommand::from_number(27), None);
    assert_eq!(SocketCommand::from_number(-1), None);
}

#[test]
fn frames_come_out_as_they_went_in() {
    let long = vec![b'x'; MAX_INPUT + 1];
    let mut stream = encode_input(&long);
    stream.extend(encode_resize(24, 80));
    let mut input = Vec::new();
    while let Some(frame) = take_frame(&mut stream).unwrap() {
        match frame {
            ViewerFrame::Input(bytes) => input.extend(bytes),
            ViewerFrame::Resize { rows, columns } => assert_eq!((rows, columns), (24, 80)),
        }
    }
    assert_eq!(input, long);
    assert!(stream.is_empty());
}

proptest! {
    #[test]
    fn heads_survive(command: i32, payload_len: i32, data: u64) {
        let request = Request { command, payload_len, data };
        prop_assert_eq!(Request::decode(&request.encode()), request);
        let response = Response { result: command, payload_len, data };
        prop_assert_eq!(Response::decode(&response.encode()), response);
    }

    #[test]
    fn any_bytes_are_read_without_harm(mut bytes: Vec<u8>) {
        _ = decode_wanted(&bytes);
        _ = decode_text(&bytes);
        _ = LogRequest::decode(&bytes);
        while let Ok(Some(_)) = take_frame(&mut bytes) {}
    }
}

#[test]
fn a_wish_survives_and_nonsense_is_refused() {
    for wish in [Wish::Stop, Wish::Unheard(30), Wish::Restart(2)] {
        assert_eq!(Wish::decode(wish.encode()), Some(wish));
    }
    assert_eq!(Wish::decode(0), None);
    assert_eq!(Wish::decode(9), None);
}
