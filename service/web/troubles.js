// Puts a failure into words a person can act on. Knows codes, not how they are shown.

const WORDS = {
  unreachable: ["The service does not answer", "It may have been stopped or is starting. Check that it runs, then ask again; nothing here is lost."],
  unavailable: ["Nothing is there to answer", "Start a worker (or Redis) again, then ask again; nothing here is lost."],
  store_lost: ["The service lost this ask", "Its store was restarted. Ask again."],
  overloaded: ["Too many asks are waiting", "Ask again in a moment."],
  rate_limited: ["This key has asked too often", "Ask again in a moment."],
  expired: ["Time was up before the answer was complete", "Raise timeout_seconds under More settings, send fewer pictures, or lower max_tokens."],
  cancelled: ["Cancelled", "Ask again if the answer is still wanted."],
  unauthorized: ["A key is needed", "Press Key at the top and paste the key you were given."],
  forbidden: ["This key may not ask", "Use a key that has the right to."],
  bad_image: ["A picture cannot be used", "Remove it or send it as PNG, JPEG or WebP."],
  too_large: ["Too much to send", "Use fewer or smaller pictures."],
  prompt_too_long: ["More than the model can read at once", "Remove pictures, or set tiles to base under More settings."],
  bad_request: ["Something in the ask is not right", "Change what is named here and ask again."],
  out_of_memory: ["Not enough memory for this ask", "Lower the budget, send fewer pictures, or try again when it is quieter."],
  dead: ["Every attempt at this ask failed", "The workers stopped while they worked on it. Try other pictures, and tell whoever runs the service."],
  not_found: ["It is no longer there", "It was kept for a time only."],
  internal: ["Something broke in the service", "Ask again; if it happens again, tell whoever runs it."],
};

/** The service counts pictures from 0, the page from 1. */
const counted = ({ detail, image_index: index }) => detail.replace(`Picture ${index}`, `Picture ${index + 1}`);

/** {title, detail, advice, field, imageIndex} of a problem body. */
export function inWords(problem, retryAfter = null) {
  const [title, advice] = WORDS[problem.code] || ["The service refused this", "Its own words are above."];
  const wait = Number(retryAfter);
  return {
    title,
    detail: problem.detail && problem.detail !== title ? counted(problem) : "",
    advice: wait > 1 ? `${advice} It suggests to wait ${Math.ceil(wait)} s.` : advice,
    field: problem.field || null,
    imageIndex: Number.isInteger(problem.image_index) ? problem.image_index : null,
    askId: problem.ask_id || null,
  };
}
