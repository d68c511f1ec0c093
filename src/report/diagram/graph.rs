//! What is drawn, before anybody says where.

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// People or programs that send requests.
    Clients,
    /// The gateways of a region.
    Gateway,
    /// Their routers.
    Router,
    /// A pool of replicas.
    Pool,
    /// What holds something: KV, records, copies.
    Store,
    /// Nodes that are bought.
    Supply,
    /// Who sees to erasures.
    Desk,
}

/// What an edge carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Requests, all the time.
    Requests,
    /// Requests, only when something is down or full.
    Standby,
    /// Data, in the direction of the edge.
    Data,
    /// Data, both ways.
    Exchange,
}

/// A row of the drawing: a region, or what belongs to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// What is written above it; no frame is drawn where it is empty.
    pub name: String,
}

/// A box.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its lane, by index.
    pub lane: usize,
    /// Its place from left to right; an edge goes between different ones.
    pub layer: usize,
    /// Its name, in bold.
    pub title: String,
    /// What else is written in it, line by line.
    pub lines: Vec<String>,
    /// Which part of what it can do it is asked for, or did; 1 is all of it. None where that is not
    /// known.
    pub load: Option<f64>,
}

/// An arrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// From which node, by index.
    pub from: usize,
    /// To which.
    pub to: usize,
    /// What is written on it, line by line.
    pub label: Vec<String>,
    /// What it carries.
    pub way: Way,
}

/// A fleet, ready to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The scenario's name.
    pub title: String,
    /// Lanes, from top to bottom.
    pub lanes: Vec<Lane>,
    /// Boxes.
    pub nodes: Vec<Node>,
    /// Arrows.
    pub edges: Vec<Edge>,
    /// What the figures are, sentence by sentence.
    pub notes: Vec<String>,
}

impl Graph {
    /// An empty one.
    pub(super) fn new(title: String) -> Graph {
        Graph {
            title,
            lanes: Vec::new(),
            nodes: Vec::new(),
            edges: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a lane; its index.
    pub(super) fn lane(&mut self, name: String) -> usize {
        self.lanes.push(Lane { name });
        self.lanes.len() - 1
    }

    /// Adds a node; its index.
    pub(super) fn node(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Adds an edge.
    pub(super) fn edge(&mut self, from: usize, to: usize, way: Way, label: Vec<String>) {
        self.edges.push(Edge {
            from,
            to,
            label,
            way,
        });
    }
}

impl Node {
    /// A node with nothing in it but its name.
    pub(super) fn new(kind: Kind, (lane, layer): (usize, usize), title: String) -> Node {
        Node {
            kind,
            lane,
            layer,
            title,
            lines: Vec::new(),
            load: None,
        }
    }

    /// Whether it is drawn within its lane's frame: clients are not of a region.
    pub fn is_framed(&self) -> bool {
        self.kind != Kind::Clients
    }
}
