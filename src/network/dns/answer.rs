//! What a question of a task is answered, as bytes.

use std::net::Ipv4Addr;

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, Question};
use domain::rdata::A;

use crate::network::dns::names::Names;

/// How long an answer may be remembered: services come and go.
const TTL_SECONDS: u32 = 5;

/// What fits into a datagram if whoever asks does not say.
const DATAGRAM_BYTES: usize = 512;
/// The longest datagram that is sent whatever is said: what a path surely carries whole.
const DATAGRAM_BYTES_MAX: usize = 1232;

/// What is to be done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Answer(Vec<u8>),
    /// The name is not of the swarm: others know.
    PassOn,
    /// It is no question.
    Ignore,
}

/// What to do with a message that came from a task; a datagram has less room for the answer than
/// a stream has.
pub fn reply(names: &Names, asker: Ipv4Addr, message: &[u8], is_datagram: bool) -> Reply {
    let Ok(query) = Message::from_slice(message) else {
        return Reply::Ignore;
    };
    let header = query.header();
    if header.qr() || !names.knows(asker) {
        return Reply::Ignore;
    }
    let Ok(question) = query.sole_question() else {
        return refuse(query, Rcode::FORMERR);
    };
    if header.opcode() != Opcode::QUERY {
        return refuse(query, Rcode::NOTIMP);
    }
    let name = question.qname().to_string();
    let Some(addresses) = names
        .find(asker, &name)
        .filter(|_| question.qclass() == Class::IN)
    else {
        return match names.leads_out(asker) {
            true => Reply::PassOn,
            false => refuse(query, Rcode::SERVFAIL),
        };
    };
    let wanted = matches!(question.qtype(), Rtype::A | Rtype::ANY);
    let mut addresses: Vec<_> = addresses.iter().copied().filter(|_| wanted).collect();
    if !addresses.is_empty() {
        // Many take the first: each question begins elsewhere.
        let turn = usize::from(header.id()) % addresses.len();
        addresses.rotate_left(turn);
    }
    let room = match (is_datagram, query.opt()) {
        (false, _) => usize::from(u16::MAX),
        (true, None) => DATAGRAM_BYTES,
        (true, Some(opt)) => {
            usize::from(opt.udp_payload_size()).clamp(DATAGRAM_BYTES, DATAGRAM_BYTES_MAX)
        }
    };
    fitting(query, &addresses, room).map_or(Reply::Ignore, Reply::Answer)
}

/// An answer with as many of the addresses as there is room for: some never ask again by a stream.
fn fitting(query: &Message<[u8]>, addresses: &[Ipv4Addr], room: usize) -> Option<Vec<u8>> {
    let whole = build(query, addresses, false)?;
    if whole.len() <= room {
        return Some(whole);
    }
    let head = build(query, &[], true)?;
    // All records are of one length.
    let record = (whole.len() - head.len()) / addresses.len().max(1);
    let fit = room.saturating_sub(head.len()) / record.max(1);
    build(query, addresses.get(..fit)?, true)
}

/// An answer with these addresses, or with a mark that it was cut.
fn build(query: &Message<[u8]>, addresses: &[Ipv4Addr], is_cut: bool) -> Option<Vec<u8>> {
    let question: Question<Name<Vec<u8>>> = owned(query)?;
    let builder = MessageBuilder::new_vec();
    let mut builder = builder.start_answer(query, Rcode::NOERROR).ok()?;
    builder.header_mut().set_aa(true);
    builder.header_mut().set_ra(true);
    builder.header_mut().set_tc(is_cut);
    for address in addresses {
        let record = (question.qname(), Class::IN, TTL_SECONDS, A::new(*address));
        builder.push(record).ok()?;
    }
    Some(builder.finish())
}

fn owned(query: &Message<[u8]>) -> Option<Question<Name<Vec<u8>>>> {
    let question = query.sole_question().ok()?;
    let name = question.qname().to_string();
    Some(Question::new(
        Name::vec_from_str(&name).ok()?,
        question.qtype(),
        question.qclass(),
    ))
}

/// The answer that nobody could be asked.
pub fn failure(message: &[u8]) -> Option<Vec<u8>> {
    match refuse(Message::from_slice(message).ok()?, Rcode::SERVFAIL) {
        Reply::Answer(bytes) => Some(bytes),
        Reply::PassOn | Reply::Ignore => None,
    }
}

fn refuse(query: &Message<[u8]>, rcode: Rcode) -> Reply {
    let builder = MessageBuilder::new_vec().start_answer(query, rcode);
    builder.map_or(Reply::Ignore, |builder| Reply::Answer(builder.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::{NetworkId, NodeId, ServiceId, TaskId};
    use crate::wire::reach::{NetworkView, ServiceNetwork, ServiceView, TaskView};

    const NETWORK: NetworkId = NetworkId(1);
    const ASKER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 9);

    /// A service `web` of so many tasks, and a task that asks.
    fn names(tasks: u8, leads_out: bool) -> Names {
        let mut names = Names::default();
        names.add_asker(&[(NETWORK, ASKER)], &[], leads_out);
        let task = |number: u8| TaskView {
            id: TaskId(number.into()),
            name: format!("web.{number}"),
            node: NodeId(1),
            addresses: vec![(NETWORK, Ipv4Addr::new(10, 0, 1, 100 + number))],
        };
        let network = NetworkView {
            id: NETWORK,
            name: "n".into(),
            subnet: "10.0.1.0/24".parse().unwrap(),
            internal: !leads_out,
            ingress: false,
        };
        names.add_service(&ServiceView {
            id: ServiceId(1),
            name: "web".into(),
            networks: vec![ServiceNetwork {
                network,
                address: None,
                aliases: Vec::new(),
            }],
            ports: Vec::new(),
            tasks: (1..=tasks).map(task).collect(),
        });
        names
    }

    fn question(number: u16, name: &str) -> Vec<u8> {
        let mut builder = MessageBuilder::new_vec().question();
        builder.header_mut().set_id(number);
        let name = Name::<Vec<u8>>::vec_from_str(name).unwrap();
        builder.push((name, Rtype::A)).unwrap();
        builder.finish()
    }

    /// The last numbers of the addresses of an answer, and whether it is cut.
    fn told(reply: Reply) -> (Vec<u8>, bool) {
        let Reply::Answer(bytes) = reply else {
            panic!("{reply:?}");
        };
        let message = Message::from_slice(&bytes).unwrap();
        let records = message.answer().unwrap().limit_to::<A>();
        let addresses = records.map(|record| record.unwrap().data().addr().octets()[3]);
        (addresses.collect(), message.header().tc())
    }

    #[test]
    fn each_question_begins_with_another_task() {
        let names = names(3, true);
        let ask = |number| told(reply(&names, ASKER, &question(number, "web"), true)).0;
        assert_eq!(ask(0), [101, 102, 103]);
        assert_eq!(ask(1), [102, 103, 101]);
        assert_eq!(ask(65_535), [101, 102, 103]);
    }

    #[test]
    fn a_datagram_holds_as_many_addresses_as_fit_and_says_that_there_are_more() {
        let names = names(100, true);
        let (addresses, is_cut) = told(reply(&names, ASKER, &question(0, "web"), true));
        assert!(is_cut);
        // 12 bytes of head, 9 of question and 19 for each.
        assert_eq!(addresses.len(), 25);
        let (addresses, is_cut) = told(reply(&names, ASKER, &question(0, "web"), false));
        assert_eq!((addresses.len(), is_cut), (100, false));
    }

    #[test]
    fn nothing_is_asked_of_others_for_a_task_without_a_way_out() {
        let ask = |leads_out| {
            let names = names(1, leads_out);
            reply(&names, ASKER, &question(7, "secret.example.com"), true)
        };
        assert_eq!(ask(true), Reply::PassOn);
        let Reply::Answer(bytes) = ask(false) else {
            panic!("it is passed on");
        };
        let rcode = Message::from_slice(&bytes).unwrap().header().rcode();
        assert_eq!(rcode, Rcode::SERVFAIL);
    }
}
