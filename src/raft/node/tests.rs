use super::*;

fn alone(restored: Restored) -> Node {
    Node::new(1, restored, 7).unwrap()
}

fn bootstrap(voters: &[u64]) -> Restored {
    let anchor = Anchor::bootstrap(voters.to_vec());
    Restored {
        before: anchor.applied,
        anchor,
        entries: Vec::new(),
    }
}

/// Runs a node that is alone until nothing is left to do; returns what it applied.
fn run(node: &mut Node) -> Vec<Entry> {
    let mut committed = Vec::new();
    while let Some(ready) = node.ready() {
        assert!(ready.messages.is_empty());
        committed.extend(ready.committed);
        if let Some(persist) = ready.persist {
            node.persisted(persist.number);
        }
    }
    committed
}

#[test]
fn a_member_alone_leads_without_a_tick() {
    let mut node = alone(bootstrap(&[1]));
    assert!(!node.leads());
    let committed = run(&mut node);
    assert_eq!(committed.len(), 1);
    assert!(committed[0].data.is_empty());
    assert!(node.leads() && node.is_alone());
    assert_eq!(
        node.propose(b"x".to_vec()),
        Ok(Position { index: 3, term: 2 })
    );
    assert_eq!(run(&mut node)[0].data, "x");
}
