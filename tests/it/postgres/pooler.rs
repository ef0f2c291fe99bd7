//! A transaction pooler between the program and the server.
