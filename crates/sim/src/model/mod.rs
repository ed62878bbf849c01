//! The in-memory engine: rows in sorted maps, which is the specification of every other engine.
//!
//! It forgets on a crash what a database may forget: commits that were not synced, newest first
//! ([`Model::crash`]). On demand its Nth call fails ([`Model::fail_after`]).

mod rows;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::txn::{Durability, Engine, ReadTxn, Reader, ReaderMaker, Txn};
use store::{Result, StoreError};

pub use rows::State;

/// What a crash leaves of a model, and what its readers see. Cloning gives another handle.
#[derive(Clone, Default)]
pub struct Model {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// The committed states since the last synced one, which is the first.
    commits: Vec<Arc<State>>,
    /// Engine calls until one fails; `None`: none does.
    calls_left: Option<u64>,
    /// Told of each commit.
    on_commit: Option<OnCommit>,
}

type OnCommit = Arc<dyn Fn(Arc<State>, Durability) + Send + Sync>;

impl Model {
    /// An empty database.
    pub fn new() -> Model {
        Model::default()
    }

    /// A database with that content, all of it durable.
    pub fn with_state(state: Arc<State>) -> Model {
        let shared = Shared { commits: vec![state], ..Shared::default() };
        Model { shared: Arc::new(Mutex::new(shared)) }
    }

    /// The engine, for `Store::with_engine`.
    pub fn engine(&self) -> Box<dyn Engine> {
        let now = self.now();
        let writer = View { state: now, model: self.clone() };
        Box::new(ModelEngine { writer, durability: Durability::Synced, before: None, mark: None })
    }

    /// The committed state.
    pub fn now(&self) -> Arc<State> {
        self.shared().commits.last().cloned().unwrap_or_default()
    }

    /// The states that a crash now may leave, from the last synced one on.
    pub fn crash(&self) -> Vec<Arc<State>> {
        let commits = self.shared().commits.clone();
        if commits.is_empty() { vec![Arc::default()] } else { commits }
    }

    /// Lets `calls` more calls succeed, then fails one.
    pub fn fail_after(&self, calls: u64) {
        self.shared().calls_left = Some(calls);
    }

    /// Nothing fails any more; the calls that were left, `None` when one has failed.
    pub fn heal(&self) -> Option<u64> {
        self.shared().calls_left.take()
    }

    /// Has `tell` called with each state that is committed.
    pub fn on_commit(&self, tell: impl Fn(Arc<State>, Durability) + Send + Sync + 'static) {
        self.shared().on_commit = Some(Arc::new(tell));
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an engine call, and fails the one that is to fail.
    fn step(&self) -> Result<()> {
        let mut shared = self.shared();
        match &mut shared.calls_left {
            None => Ok(()),
            Some(0) => {
                shared.calls_left = None;
                Err(StoreError::Engine("injected".to_owned()))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

/// One look at the rows.
struct View {
    state: Arc<State>,
    model: Model,
}

struct ModelEngine {
    writer: View,
    durability: Durability,
    before: Option<Arc<State>>,
    mark: Option<Arc<State>>,
}

impl Engine for ModelEngine {
    fn begin(&mut self, durability: Durability) -> Result<()> {
        self.writer.model.step()?;
        self.durability = durability;
        self.before = Some(self.writer.state.clone());
        Ok(())
    }
    fn txn(&mut self) -> &mut dyn Txn {
        &mut self.writer
    }
    fn savepoint(&mut self) -> Result<()> {
        self.writer.model.step()?;
        self.mark = Some(self.writer.state.clone());
        Ok(())
    }
    fn undo_to_savepoint(&mut self) -> Result<()> {
        self.writer.model.step()?;
        let mark = self.mark.take();
        self.writer.state = mark.ok_or_else(|| StoreError::Engine("no savepoint".to_owned()))?;
        Ok(())
    }
    fn release_savepoint(&mut self) -> Result<()> {
        self.writer.model.step()?;
        self.mark = None;
        Ok(())
    }
    fn commit(&mut self) -> Result<()> {
        self.writer.model.step()?;
        self.before = None;
        let (state, durability) = (self.writer.state.clone(), self.durability);
        let mut shared = self.writer.model.shared();
        if durability == Durability::Synced {
            shared.commits.clear();
        }
        shared.commits.push(state.clone());
        let tell = shared.on_commit.clone();
        drop(shared);
        if let Some(tell) = tell {
            tell(state, durability);
        }
        Ok(())
    }
    fn rollback(&mut self) {
        if let Some(before) = self.before.take() {
            self.writer.state = before;
        }
    }
    fn readers(&self) -> Result<ReaderMaker> {
        let model = self.writer.model.clone();
        Ok(Box::new(move || Ok(Box::new(ModelReader(model.clone())))))
    }
    fn tidy(&mut self, _: bool) -> Result<()> {
        Ok(())
    }
}

struct ModelReader(Model);

impl Reader for ModelReader {
    fn read(&mut self, look: &mut dyn FnMut(&dyn ReadTxn) -> Result<()>) -> Result<()> {
        let model = Model { shared: Arc::default() };
        look(&View { state: self.0.now(), model })
    }
}
