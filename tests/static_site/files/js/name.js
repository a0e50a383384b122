export const name = "b2fields";
