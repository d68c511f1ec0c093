//! What can happen in a fleet.

use super::ids::{CallId, ReplicaId, RequestId, SlotId};

/// Everything that can happen. Small and `Copy`.
///
/// **Order at one instant.** Ordinary events of one instant run in the order in which they were
/// scheduled. [`Event::Step`] is *late*: all step boundaries of an instant come after its ordinary
/// events, by replica index. So a request that reaches a replica at the very instant at which an
/// iteration ends is seen by the scheduler that plans the next one, and requests that arrive
/// together at an idle replica start together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The workload's next request is due.
    Arrival,
    /// A closed-loop user has thought long enough, or the next turn of a session is due.
    UserReady(u32),
    /// The gateway has done its fixed work on a request.
    GatewayDone(RequestId),
    /// A request reaches the replica it was routed to.
    Delivered(RequestId),
    /// The oldest request in a replica's batching window has waited long enough.
    WindowDue(ReplicaId),
    /// An abstract server has served a request, or the batch that this request leads.
    ServiceDone(RequestId),
    /// The next request under processor sharing is served.
    ShareDone(ReplicaId),
    /// A language-model engine reaches the end of an iteration, or wakes up (late). With pipeline
    /// parallelism also which of its micro-batches; 0 without.
    Step(ReplicaId, u16),
    /// A request's last token reaches the gateway.
    Responded(RequestId),
    /// The KV of a prompt has come from its prefill replica.
    KvArrived(RequestId),
    /// A gateway replica asks the replicas for their load.
    AskReplicas(u16),
    /// Answers to that have come.
    ReportsSeen(u16),
    /// A call has come to its deadline.
    CallDue(CallId),
    /// A user has waited long enough.
    UserLeaves(CallId),
    /// A call tries again.
    Retry(CallId),
    /// A call tries beside a try that is slow.
    Hedge(CallId),
    /// A try, or its first token, has taken too long.
    TryDue(RequestId),
    /// A replica learns that a try was given up.
    Cancel(RequestId),
    /// A try comes from its client to its gateway.
    AtGateway(RequestId),
    /// What became of a try comes from its gateway to its client.
    Answered(RequestId),
    /// The news that a try has failed comes to its gateway.
    Failed(RequestId),
    /// A request beside those of the arrival process is due: traffic is heavier than that.
    Extra(SlotId),
    /// Faults begin or end.
    Fault,
    /// A gateway replica probes a replica.
    Probe(u16, ReplicaId),
    /// A probe has waited long enough for its answer.
    ProbeLost(u16, ReplicaId),
    /// A gateway replica judges the replicas by what it has seen of them.
    Sweep(u16),
    /// A breaker of a gateway replica has waited long enough.
    BreakerDue(u16, u32),
    /// Routers hear of blocks that engines have stored and evicted.
    BlocksTold,
    /// Who waits at a gateway replica may go in, or waits no longer.
    LetIn(u16),
    /// A gateway has waited long enough for a replica.
    GatewayDue(RequestId),
    /// A node becomes ready, is told to go, or goes.
    NodeDue(ReplicaId),
    /// A group asks again for nodes that it could not have.
    AskNodes(u16),
    /// A provider takes nodes of a group away.
    MarketDue(u16),
    /// A scaler measures, or decides.
    ScaleDue(u16),
    /// Erasures, and the stores that they are about, have something to do.
    ErasureDue,
    /// The record that an answer waits for is on disk.
    Logged(RequestId),
}

const _: () = assert!(size_of::<Event>() <= 12, "events must stay small");

impl Event {
    /// How many kinds there are.
    pub const KINDS: usize = 36;

    /// Names of the kinds, by [`Self::kind`].
    pub const KIND_NAMES: [&'static str; Self::KINDS] = [
        "arrival",
        "user_ready",
        "gateway_done",
        "delivered",
        "window_due",
        "service_done",
        "share_done",
        "step",
        "responded",
        "kv_arrived",
        "ask_replicas",
        "reports_seen",
        "call_due",
        "user_leaves",
        "retry",
        "hedge",
        "try_due",
        "cancel",
        "at_gateway",
        "answered",
        "failed",
        "extra",
        "fault",
        "probe",
        "probe_lost",
        "sweep",
        "breaker_due",
        "blocks_told",
        "let_in",
        "gateway_due",
        "node_due",
        "ask_nodes",
        "market_due",
        "scale_due",
        "erasure_due",
        "logged",
    ];

    /// The index of its kind.
    pub fn kind(&self) -> usize {
        match self {
            Event::Arrival => 0,
            Event::UserReady(_) => 1,
            Event::GatewayDone(_) => 2,
            Event::Delivered(_) => 3,
            Event::WindowDue(_) => 4,
            Event::ServiceDone(_) => 5,
            Event::ShareDone(_) => 6,
            Event::Step(..) => 7,
            Event::Responded(_) => 8,
            Event::KvArrived(_) => 9,
            Event::AskReplicas(_) => 10,
            Event::ReportsSeen(_) => 11,
            Event::CallDue(_) => 12,
            Event::UserLeaves(_) => 13,
            Event::Retry(_) => 14,
            Event::Hedge(_) => 15,
            Event::TryDue(_) => 16,
            Event::Cancel(_) => 17,
            Event::AtGateway(_) => 18,
            Event::Answered(_) => 19,
            Event::Failed(_) => 20,
            Event::Extra(_) => 21,
            Event::Fault => 22,
            Event::Probe(..) => 23,
            Event::ProbeLost(..) => 24,
            Event::Sweep(_) => 25,
            Event::BreakerDue(..) => 26,
            Event::BlocksTold => 27,
            Event::LetIn(_) => 28,
            Event::GatewayDue(_) => 29,
            Event::NodeDue(_) => 30,
            Event::AskNodes(_) => 31,
            Event::MarketDue(_) => 32,
            Event::ScaleDue(_) => 33,
            Event::ErasureDue => 34,
            Event::Logged(_) => 35,
        }
    }

    /// One word that tells it from any other event of its instant.
    pub fn word(&self) -> u64 {
        let of = |id: &RequestId| (u64::from(id.generation) << 32) | u64::from(id.slot);
        let payload = match self {
            Event::Arrival | Event::Fault | Event::BlocksTold | Event::ErasureDue => 0,
            Event::UserReady(user) => u64::from(*user),
            Event::AskReplicas(gateway)
            | Event::ReportsSeen(gateway)
            | Event::Sweep(gateway)
            | Event::LetIn(gateway)
            | Event::AskNodes(gateway)
            | Event::MarketDue(gateway)
            | Event::ScaleDue(gateway) => u64::from(*gateway),
            Event::Probe(gateway, replica) | Event::ProbeLost(gateway, replica) => {
                u64::from(*gateway) << 32 | u64::from(replica.0)
            }
            Event::BreakerDue(gateway, index) => u64::from(*gateway) << 32 | u64::from(*index),
            Event::GatewayDone(id)
            | Event::Delivered(id)
            | Event::ServiceDone(id)
            | Event::Responded(id)
            | Event::KvArrived(id)
            | Event::CallDue(id)
            | Event::UserLeaves(id)
            | Event::Retry(id)
            | Event::Hedge(id)
            | Event::TryDue(id)
            | Event::Cancel(id)
            | Event::AtGateway(id)
            | Event::Answered(id)
            | Event::Failed(id)
            | Event::Extra(id)
            | Event::GatewayDue(id)
            | Event::Logged(id) => of(id),
            Event::WindowDue(replica) | Event::ShareDone(replica) | Event::NodeDue(replica) => {
                u64::from(replica.0)
            }
            Event::Step(replica, lane) => u64::from(*lane) << 32 | u64::from(replica.0),
        };
        payload.rotate_left(5) ^ self.kind() as u64
    }
}
