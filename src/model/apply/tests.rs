use super::*;
use crate::model::change::NewTask;
use crate::model::id::ServiceId;
use crate::model::object::{RestartRecord, Slot};
use crate::model::spec::service::{EndpointSpec, PortConfig};

#[test]
fn a_change_of_labels_keeps_the_version_that_tasks_have_though_an_older_one_is_alike() {
    let id = ServiceId(1);
    let mut state = State::default();
    let mut index = 0;
    let mut apply = |state: &mut State, change| {
        index += 1;
        let changes = vec![change];
        let at = Time(1);
        state.apply(index, &Batch { at, changes });
        state
            .services()
            .find(id)
            .map(|service| service.task_version)
    };
    let unpublished = ServiceSpec {
        name: "web".into(),
        ..ServiceSpec::default()
    };
    let ports = vec![PortConfig {
        target_port: 80,
        published_port: 80,
        ..PortConfig::default()
    }];
    let published = ServiceSpec {
        endpoint: Some(EndpointSpec {
            ports,
            ..EndpointSpec::default()
        }),
        ..unpublished.clone()
    };
    let mut labelled = published.clone();
    labelled.labels.insert("a".into(), "b".into());

    let spec = unpublished;
    let first = apply(&mut state, Change::CreateService { id, spec });
    // It keeps the first version known.
    let task = NewTask {
        id: TaskId(1),
        service: id,
        slot: Slot::Number(1),
        desired_state: TaskState::Running,
        restart: RestartRecord::default(),
        update: 0,
    };
    apply(&mut state, Change::CreateTask(task));
    let spec = published;
    let second = apply(&mut state, Change::UpdateService { id, spec });
    assert_ne!(first, second);
    let spec = labelled;
    let third = apply(&mut state, Change::UpdateService { id, spec });
    assert_eq!(third, second);
}
