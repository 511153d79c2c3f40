// Two's complement addition of BITS bits. A sum that does not fit wraps around, or saturates, and is reported.
// EXACT: the caller knows that every sum fits.
module sa_add #(
    parameter int BITS = 32,
    parameter bit SATURATE = 1'b0,
    parameter bit EXACT = 1'b0
) (
    input  wire signed [BITS-1:0] a,
    input  wire signed [BITS-1:0] b,
    output wire signed [BITS-1:0] sum,
    output wire                   overflow
);
    wire signed [BITS-1:0] wrapped = a + b;
    generate
        if (EXACT) begin : g_exact
            assign overflow = 1'b0;
        end else begin : g_overflow
            // Only operands of one sign overflow, and then the sum has the other.
            assign overflow = (a[BITS-1] == b[BITS-1]) && (wrapped[BITS-1] != a[BITS-1]);
        end
        if (SATURATE && !EXACT) begin : g_saturate
            assign sum = overflow ? {a[BITS-1], {(BITS - 1) {~a[BITS-1]}}} : wrapped;
        end else begin : g_wrap
            assign sum = wrapped;
        end
    endgenerate
endmodule
