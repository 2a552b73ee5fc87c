//! What delivers: Lambda's event source mapping as it is modelled, or an engine's own.

use std::rc::Rc;
use std::time::Duration;

use super::host::Host;
use super::lambda::Mapping;
use super::processes::Processes;
use super::service::Service;
use super::world::World;

/// What delivers, and what can be done to it.
#[derive(Clone)]
pub(super) enum Delivery {
    Lambda(Rc<Mapping>),
    Engine(Rc<Host>),
}

impl Delivery {
    /// Begins to deliver.
    pub(super) async fn start(world: &Rc<World>, service: &Rc<Service>) -> Self {
        if let Some(machine) = &world.machine {
            return Self::Engine(Host::start(world, service, machine).await);
        }
        let mapping = Mapping::new(world, service);
        mapping.start();
        Self::Lambda(mapping)
    }

    /// The function's processes.
    pub(super) fn running(&self) -> &Processes {
        match self {
            Self::Lambda(mapping) => &mapping.running,
            Self::Engine(host) => &host.running,
        }
    }

    /// Ends all functions that run, once one does, within this time.
    pub(super) async fn kill_when_busy(&self, within: Duration) {
        match self {
            Self::Lambda(mapping) => mapping.kill_when_busy(within).await,
            Self::Engine(host) => host.kill_when_busy(within).await,
        }
    }

    /// Ends everything that runs; on one machine that is the engine, and it is started again.
    pub(super) async fn kill_all(&self) {
        match self {
            Self::Lambda(mapping) => mapping.kill_all(),
            Self::Engine(host) => host.kill_and_start().await,
        }
    }

    /// Replaces what runs by what is configured now.
    pub(super) async fn deploy(&self) {
        match self {
            Self::Lambda(mapping) => mapping.deploy(),
            Self::Engine(host) => host.stop_and_start().await,
        }
    }

    /// Delivers nothing any more; tells whether that is so for certain.
    pub(super) async fn disable(&self) -> bool {
        match self {
            Self::Lambda(mapping) => {
                mapping.disable().await;
                true
            }
            Self::Engine(host) => host.disable().await,
        }
    }

    pub(super) async fn enable(&self) {
        match self {
            Self::Lambda(mapping) => mapping.enable(),
            Self::Engine(host) => host.enable().await,
        }
    }
}
