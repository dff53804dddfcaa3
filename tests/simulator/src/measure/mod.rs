//! What a run came to: how long things took, and which promises were broken.
