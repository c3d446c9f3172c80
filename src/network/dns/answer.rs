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
        return Reply::PassOn;
    };
    let wanted = matches!(question.qtype(), Rtype::A | Rtype::ANY);
    let addresses: Vec<_> = addresses.iter().copied().filter(|_| wanted).collect();
    let room = match (is_datagram, query.opt()) {
        (false, _) => usize::from(u16::MAX),
        (true, None) => DATAGRAM_BYTES,
        (true, Some(opt)) => {
            usize::from(opt.udp_payload_size()).clamp(DATAGRAM_BYTES, DATAGRAM_BYTES_MAX)
        }
    };
    let whole = build(query, &addresses, false);
    let fitting = whole.filter(|bytes| bytes.len() <= room);
    let answer = fitting.or_else(|| build(query, &[], true));
    answer.map_or(Reply::Ignore, Reply::Answer)
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
