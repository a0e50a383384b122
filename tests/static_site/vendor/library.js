/*! a library that is served as it is */
