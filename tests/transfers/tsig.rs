//! TSIG against an implementation that shares no code with ours.
