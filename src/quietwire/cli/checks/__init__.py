"""What `quietwire check` looks at, one file an area. Each gives findings; none changes anything."""
