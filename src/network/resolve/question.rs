//! One question to a name server, and what may be believed of an answer.

use std::net::IpAddr;

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::{A, Aaaa};

/// Addresses that are taken from one answer.
const ADDRESSES_MAX: usize = 32;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    V4,
    V6,
}

impl Kind {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    fn rtype(self) -> Rtype {
        match self {
            Self::V4 => Rtype::A,
            Self::V6 => Rtype::AAAA,
        }
    }
}

/// A question as it is sent.
#[derive(Clone, Debug)]
pub struct Question {
    id: u16,
    name: Name<Vec<u8>>,
    kind: Kind,
    message: Vec<u8>,
}

/// What a server says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// None, if there is no such name, or it has no addresses of this kind.
    Addresses(Vec<IpAddr>),
    /// The answer is too long for a datagram.
    Truncated,
    Failed(Rcode),
}

impl Question {
    /// A question that an answer must name by `id`; `None` if the name is too long.
    pub fn new(id: u16, name: &str, kind: Kind) -> Option<Self> {
        let name = Name::vec_from_str(name).ok()?;
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_id(id);
        message.header_mut().set_rd(true);
        let mut message = message.question();
        message.push((&name, kind.rtype())).ok()?;
        let message = message.finish();
        Some(Self {
            id,
            name,
            kind,
            message,
        })
    }

    /// The message to send.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Reads a message; `None` if it does not answer this question, whoever sent it.
    pub fn read(&self, message: &[u8]) -> Option<Answer> {
        let message = Message::from_slice(message).ok()?;
        let header = message.header();
        let asked = message.sole_question().ok()?;
        let echoes = header.id() == self.id
            && header.qr()
            && header.opcode() == Opcode::QUERY
            && *asked.qname() == self.name
            && asked.qtype() == self.kind.rtype()
            && asked.qclass() == Class::IN;
        if !echoes {
            return None;
        }
        Some(match header.rcode() {
            _ if header.tc() => Answer::Truncated,
            Rcode::NOERROR => Answer::Addresses(self.addresses(message).unwrap_or_default()),
            Rcode::NXDOMAIN => Answer::Addresses(Vec::new()),
            other => Answer::Failed(other),
        })
    }

    /// The addresses of the name, or of what it is an alias of; records of other names are not
    /// believed.
    fn addresses(&self, message: &Message<[u8]>) -> Option<Vec<IpAddr>> {
        let name = message.canonical_name()?;
        let records = message.answer().ok()?;
        let v4 = records.limit_to_in::<A>().flatten();
        let v4 = v4.filter(|record| *record.owner() == name);
        let v4 = v4.map(|record| IpAddr::V4(record.data().addr()));
        let v6 = records.limit_to_in::<Aaaa>().flatten();
        let v6 = v6.filter(|record| *record.owner() == name);
        let v6 = v6.map(|record| IpAddr::V6(record.data().addr()));
        Some(match self.kind {
            Kind::V4 => v4.take(ADDRESSES_MAX).collect(),
            Kind::V6 => v6.take(ADDRESSES_MAX).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;
    use crate::network::resolve::tests::reply;

    const ZONE: &str = "a.example CNAME b.example; b.example A 10.0.0.1; x.example CNAME x.example";

    fn question(name: &str) -> Question {
        Question::new(7, name, Kind::V4).unwrap()
    }

    fn answer(name: &str) -> Vec<u8> {
        reply(ZONE, question(name).message(), false).unwrap()
    }

    #[test]
    fn aliases_are_followed_but_not_in_circles() {
        let found = Answer::Addresses(vec!["10.0.0.1".parse().unwrap()]);
        assert_eq!(
            question("a.example").read(&answer("a.example")),
            Some(found)
        );
        let none = Answer::Addresses(Vec::new());
        assert_eq!(question("x.example").read(&answer("x.example")), Some(none));
    }

    #[test]
    fn an_answer_to_anything_else_is_not_believed() {
        let good = answer("b.example");
        let spoilt = |at: usize, bits: u8| {
            let mut bytes = good.clone();
            bytes[at] ^= bits;
            question("b.example").read(&bytes)
        };
        assert!(question("b.example").read(&good).is_some());
        assert_eq!(spoilt(1, 1), None, "another id");
        assert_eq!(spoilt(2, 0x80), None, "a question");
        assert_eq!(spoilt(2, 0x10), None, "another kind of request");
        assert_eq!(spoilt(13, 1), None, "another name");
        assert_eq!(question("b.example").read(&answer("a.example")), None);
        let other_kind = Question::new(7, "b.example", Kind::V6).unwrap();
        assert_eq!(other_kind.read(&good), None);
    }

    #[test]
    fn records_of_other_names_are_not_believed() {
        let mut bytes = answer("b.example");
        // The last name is the owner of the only record.
        let owner = bytes
            .windows(9)
            .rposition(|name| name == b"b\x07example")
            .unwrap();
        bytes[owner] = b'c';
        let none = Answer::Addresses(Vec::new());
        assert_eq!(question("b.example").read(&bytes), Some(none));
    }

    #[test]
    fn no_bytes_whatever_make_it_fall_over() {
        let mut rng = Rng::from_seed(1);
        let good = answer("a.example");
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..=rng.below(6) {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                bytes[at] = rng.next_u64().to_le_bytes()[0];
            }
            bytes.truncate(usize::try_from(rng.below(bytes.len() as u64 + 1)).unwrap());
            drop(question("a.example").read(&bytes));
        }
    }
}
