// Reads the service's `explain` into what the plates draw: layer groups, and per picture its grids.

/** {groups: [{label}], images: [{tokens, groups: [{kept, before, after, grid, bins}]}]}; group 0 is all layers. */
export function readExplain(explain) {
  return explain;
}
