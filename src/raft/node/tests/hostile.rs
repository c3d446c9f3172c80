//! Messages that no honest member sends: refused, and never the end of the process.

use raft_proto::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2};

use super::*;
use crate::raft::record::EntryKind;

/// A follower of member 2 with entries 2 to 4, of which 3 are committed.
fn follower() -> Node {
    let mut node = Node::new(1, bootstrap(&[1, 2, 3]), 7).unwrap();
    let entries = (2..=4).map(entry).collect();
    let append = eraftpb::Message {
        entries,
        commit: 3,
        ..message(MessageType::MsgAppend)
    };
    node.step(Message(append)).unwrap();
    run_follower(&mut node);
    assert_eq!(node.anchor().applied.index, 3);
    node
}

fn run_follower(node: &mut Node) {
    while let Some(ready) = node.ready() {
        if let Some(persist) = ready.persist {
            node.persisted(persist.number);
        }
    }
}

fn message(msg_type: MessageType) -> eraftpb::Message {
    eraftpb::Message {
        msg_type,
        to: 1,
        from: 2,
        term: 2,
        log_term: 1,
        index: 1,
        ..eraftpb::Message::default()
    }
}

fn entry(index: u64) -> eraftpb::Entry {
    eraftpb::Entry {
        index,
        term: 2,
        ..eraftpb::Entry::default()
    }
}

#[track_caller]
fn check(message: eraftpb::Message, expect: Result<(), StepError>) {
    let mut node = follower();
    assert_eq!(node.step(Message(message)), expect);
    run_follower(&mut node);
}

#[test]
fn a_message_for_or_from_the_wrong_member_is_refused() {
    let heartbeat = message(MessageType::MsgHeartbeat);
    check(heartbeat.clone(), Ok(()));
    let to = eraftpb::Message {
        to: 3,
        ..heartbeat.clone()
    };
    check(to, Err(StepError::Address { to: 3, id: 1 }));
    for from in [0, 1] {
        let from_message = eraftpb::Message {
            from,
            ..heartbeat.clone()
        };
        check(from_message, Err(StepError::Sender(from)));
    }
}

#[test]
fn only_what_members_send_each_other_is_taken() {
    for kind in [
        MessageType::MsgHup,
        MessageType::MsgBeat,
        MessageType::MsgPropose,
        MessageType::MsgSnapshot,
        MessageType::MsgUnreachable,
        MessageType::MsgSnapStatus,
        MessageType::MsgCheckQuorum,
        MessageType::MsgTransferLeader,
        MessageType::MsgReadIndex,
        MessageType::MsgReadIndexResp,
    ] {
        check(message(kind), Err(StepError::Kind));
    }
}

#[test]
fn a_member_that_lost_its_disk_is_told_apart() {
    let heartbeat = eraftpb::Message {
        commit: 9,
        ..message(MessageType::MsgHeartbeat)
    };
    check(heartbeat, Err(StepError::Beyond { index: 9, last: 4 }));
    let response = eraftpb::Message {
        index: 5,
        ..message(MessageType::MsgAppendResponse)
    };
    check(response, Err(StepError::Beyond { index: 5, last: 4 }));
}

#[test]
fn entries_out_of_order_or_against_committed_ones_are_refused() {
    let append = |entries: Vec<eraftpb::Entry>| eraftpb::Message {
        entries,
        ..message(MessageType::MsgAppend)
    };
    check(append(vec![entry(2), entry(4)]), Err(StepError::Order));
    check(append(vec![entry(3)]), Err(StepError::Order));
    let future = eraftpb::Entry {
        term: 3,
        ..entry(2)
    };
    check(append(vec![future]), Err(StepError::Order));
    let other = eraftpb::Entry {
        term: 1,
        ..entry(2)
    };
    check(append(vec![other]), Err(StepError::Conflict(2)));
    let nowhere = eraftpb::Message {
        index: 7,
        log_term: 0,
        ..append(vec![eraftpb::Entry {
            term: 2,
            ..entry(8)
        }])
    };
    check(nowhere, Err(StepError::Order));
    let term = 1 << 60;
    let late = eraftpb::Message {
        term,
        ..append(Vec::new())
    };
    check(late, Err(StepError::Term(term)));
}

/// Found by fuzzing: raft ended the process over a vote asked for without a term, and took the rest
/// for its own messages, whose term it does not look at.
#[test]
fn a_message_without_a_term_is_refused() {
    for kind in [
        MessageType::MsgRequestPreVote,
        MessageType::MsgRequestVote,
        MessageType::MsgTimeoutNow,
        MessageType::MsgHeartbeat,
    ] {
        let own = eraftpb::Message {
            term: 0,
            ..message(kind)
        };
        check(own, Err(StepError::NoTerm));
    }
}

#[test]
fn random_messages_from_a_member_never_end_the_process() {
    let mut rng = Rng::from_seed(11);
    let mut taken = 0;
    for round in 0..3_000 {
        let mut node = if round % 2 == 0 { follower() } else { leader() };
        for _ in 0..10 {
            taken += usize::from(node.step(random_message(&mut rng)).is_ok());
            if rng.below(3) == 0 {
                node.tick();
            }
            run_follower(&mut node);
        }
    }
    assert!(taken > 5_000, "only {taken} messages were taken in");
}

/// Member 1 after it was elected by 2, with one entry of its own.
fn leader() -> Node {
    let mut node = follower();
    node.campaign();
    run_follower(&mut node);
    for (kind, term) in [
        (MessageType::MsgRequestPreVoteResponse, 3),
        (MessageType::MsgRequestVoteResponse, 3),
    ] {
        let vote = eraftpb::Message {
            term,
            ..message(kind)
        };
        node.step(Message(vote)).unwrap();
        run_follower(&mut node);
    }
    assert_eq!(node.leadership().role, Role::Leader);
    node.propose(b"x".to_vec()).unwrap();
    run_follower(&mut node);
    node
}

fn random_message(rng: &mut Rng) -> Message {
    let kinds = [
        MessageType::MsgAppend,
        MessageType::MsgAppendResponse,
        MessageType::MsgRequestVote,
        MessageType::MsgRequestVoteResponse,
        MessageType::MsgHeartbeat,
        MessageType::MsgHeartbeatResponse,
        MessageType::MsgTimeoutNow,
        MessageType::MsgRequestPreVote,
        MessageType::MsgRequestPreVoteResponse,
    ];
    let index = rng.below(8);
    let log_term = rng.below(4);
    let entries = (index + 1..index + 1 + rng.below(4)).map(|index| eraftpb::Entry {
        index,
        term: log_term.max(rng.below(4)),
        entry_type: [EntryKind::Normal, EntryKind::Members].map(|kind| {
            eraftpb::Entry::from(Entry {
                index,
                term: 1,
                kind,
                data: Default::default(),
            })
        })[usize::from(rng.below(4) == 0)]
        .entry_type,
        data: vec![0; usize::try_from(rng.below(3)).unwrap()].into(),
        ..eraftpb::Entry::default()
    });
    let entries = entries.collect();
    Message(eraftpb::Message {
        msg_type: kinds[usize::try_from(rng.below(9)).unwrap()],
        to: 1,
        from: 2 + rng.below(2),
        term: 1 + rng.below(4),
        log_term,
        index,
        entries,
        commit: rng.below(8),
        commit_term: rng.below(4),
        reject: rng.below(2) == 0,
        reject_hint: rng.below(8),
        request_snapshot: rng.below(2) * rng.below(8),
        context: vec![7; usize::try_from(rng.below(2)).unwrap()].into(),
        ..eraftpb::Message::default()
    })
}

/// Raft panics if a member wins an election while entries that it took from another leader are on
/// their way to its disk. Only a member that has become the last voter can win that fast.
#[test]
fn the_last_voter_waits_for_its_disk_before_it_leads() {
    let mut node = Node::new(1, bootstrap(&[1, 2]), 7).unwrap();
    let change = ConfChangeV2 {
        changes: vec![ConfChangeSingle {
            change_type: ConfChangeType::RemoveNode,
            node_id: 2,
        }],
        ..ConfChangeV2::default()
    };
    let removal = eraftpb::Entry {
        entry_type: EntryType::EntryConfChangeV2,
        data: postcard::to_stdvec(&change).unwrap().into(),
        ..entry(2)
    };
    let append = eraftpb::Message {
        entries: vec![removal],
        commit: 2,
        ..message(MessageType::MsgAppend)
    };
    node.step(Message(append.clone())).unwrap();
    run_follower(&mut node);
    assert!(node.is_alone());
    let more = eraftpb::Message {
        entries: vec![entry(3)],
        index: 2,
        log_term: 2,
        ..append
    };
    node.step(Message(more)).unwrap();
    let persist = node.ready().unwrap().persist.unwrap();
    let wait = |node: &mut Node| {
        for _ in 0..2 * Timing::default().missed_after().end {
            node.tick();
            while node.ready().is_some() {}
        }
        node.leadership().role
    };
    assert_eq!(wait(&mut node), Role::Follower);
    node.persisted(persist.number);
    assert_eq!(wait(&mut node), Role::Leader);
}
