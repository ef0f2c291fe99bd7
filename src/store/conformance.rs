//! What every store must do. (to come)
